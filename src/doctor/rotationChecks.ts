import type { Configuration } from "../config/configuration.ts";
import { formatDuration } from "../config/duration.ts";
import { renewAt } from "../core/decide.ts";
import { freshness } from "../core/freshness.ts";
import type { Survey, SurveyedRotation } from "../core/survey.ts";
import { belongsTo, sequence } from "../core/tags.ts";
import type { Check } from "./check.ts";

/** What is wrong in the file, and how much time each rotation leaves. */
export function checkConfiguration({ problems, rotations }: Configuration): Check[] {
  const faults = problems.map(
    ({ pointer, message, code, remedy }): Check => ({
      check: "configuration",
      state: "fail",
      message: `${pointer || "the document"} ${message} (${code})`,
      remedy,
    }),
  );
  const budgets = rotations.flatMap((rotation): Check[] =>
    rotation.state === "ready"
      ? [
          {
            check: `budget ${rotation.name}`,
            state: "ok",
            message: `No reader comes to see an expired token: ${formatDuration(rotation.budget.budgetMs)} are left (${rotation.budget.arithmetic}).`,
          },
        ]
      : [],
  );
  return [...faults, ...budgets];
}

/** Ticks that may be lost before somebody should look; margins are made for as many. */
const ticksToWait = 3;

/** Whether somebody keeps the outputs fresh, as far as the outputs tell: a tick with nothing due leaves no trace. */
export function checkTicks({ rotations, now }: Survey, tickMs: number): Check {
  const check = "tick";
  const all = rotations.flatMap((each) => each.decision.outputs.map((output) => ({ ...each, output })));
  const isOurs = ({ rotation, output }: (typeof all)[number]) =>
    output.state.kind === "present" && belongsTo(output.state.properties, rotation.name);
  const times = all
    .filter(isOurs)
    .flatMap(({ output: { state } }) =>
      state.kind === "present" ? (state.properties.createdOn?.getTime() ?? []) : [],
    );
  if (times.length === 0 && all.some(({ output }) => output.state.kind === "unknown")) {
    return {
      check,
      state: "warn",
      message: "When the last tick was cannot be told, because the vault cannot be read.",
    };
  }
  if (times.length === 0) {
    return {
      check,
      state: "warn",
      message: "No output has been written yet.",
      remedy: "Deploy the functions, or run `token-rotator rotate`.",
    };
  }
  const last = new Date(Math.max(...times)).toISOString();
  const words = (wanted: readonly string[]) =>
    all.filter(({ rotation, decision, output }) =>
      wanted.includes(freshness(rotation, decision, output, now)),
    );
  const endangered = words(["stale", "expired"]);
  if (endangered.length > 0) {
    return {
      check,
      state: "fail",
      message: `Not renewed in time: ${endangered.map(({ output }) => output.output.secret).join(", ")}. The last version of any output is of ${last}.`,
      remedy:
        "`token-rotator rotate` shows whether a tick fails or none comes; docs/runbook.md has both (rotation-failed, no-heartbeat).",
    };
  }
  const late = words(["due"]).filter(
    ({ rotation, output: { state } }) =>
      state.kind === "present" && renewAt(rotation, state.properties) < now - ticksToWait * tickMs,
  );
  return late.length > 0
    ? {
        check,
        state: "warn",
        message: `Due for more than ${ticksToWait} ticks: ${late.map(({ output }) => output.output.secret).join(", ")}. The last version of any output is of ${last}.`,
        remedy:
          "Where the source still hands out the token that the vault has (a managed identity's is cached for hours), this ends by itself; else see docs/runbook.md, no-heartbeat.",
      }
    : { check, state: "ok", message: `Nothing is overdue; the last version of any output is of ${last}.` };
}

/** Key Vault's backup takes 500. */
const manyVersions = 450;

/** Secrets with nearly as many versions as a backup takes. */
export function checkVersions({ rotations }: Survey): Check[] {
  return rotations.flatMap(({ rotation, decision }: SurveyedRotation) =>
    decision.outputs.flatMap(({ output, state }): Check[] => {
      const versions =
        state.kind === "present" && belongsTo(state.properties, rotation.name)
          ? sequence(state.properties)
          : 0;
      return versions < manyVersions
        ? []
        : [
            {
              check: `versions ${output.secret}`,
              state: "warn",
              message: `It has ${versions} versions; the vault cannot back up a secret with more than 500.`,
              remedy:
                "If you back it up, give the output another name and delete this secret once its readers have moved; else nothing has to be done (docs/runbook.md, versions-near-limit).",
            },
          ];
    }),
  );
}
