import { compose, composeStores } from "../compose.ts";
import type { Check, CheckState } from "../doctor/check.ts";
import { examine } from "../doctor/doctor.ts";
import { safeFetch } from "../oauth/safeFetch.ts";
import { createLogTelemetry } from "../telemetry/logTelemetry.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import type { Colour } from "./paint.ts";
import { paint } from "./paint.ts";
import { openConfiguration } from "./rotator.ts";

/** Finds out what is wrong, and says how to mend it. */
export async function action(io: Io, options: CommonOptions): Promise<ExitCode> {
  const { environment, clock, signal } = io;
  const configuration = await openConfiguration(io, options);
  const checks = await examine({
    configuration,
    rotator: compose(configuration, { environment, clock, telemetry: createLogTelemetry(() => {}) }),
    stores: composeStores({ environment, clock }),
    clock,
    fetch: safeFetch(),
    signal,
  });
  if (options.json) {
    printJson(io, checks);
  } else {
    io.stdout.write(checks.map((check) => text(io, check)).join(""));
  }
  if (configuration.problems.length > 0) {
    return 2;
  }
  return checks.some(({ state }) => state === "fail") ? 1 : 0;
}

const colours: Record<CheckState, Colour> = { ok: "green", warn: "yellow", fail: "red" };

function text(io: Io, { check, state, message, remedy }: Check): string {
  const head = `${paint(io.stdout, colours[state], state.padEnd(4))}  ${paint(io.stdout, "bold", check)}\n      ${message}\n`;
  return remedy === undefined ? head : `${head}      → ${remedy}\n`;
}
