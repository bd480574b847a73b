import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { Outcome } from "../events.ts";
import type { Decision } from "./decide.ts";
import type { Minted } from "./mint.ts";
import type { Publication } from "./publish.ts";
import { publishProblems } from "./publish.ts";
import type { RotationResult } from "./result.ts";
import { isFailure } from "./result.ts";
import type { Rotation, States } from "./rotation.ts";
import { outputKey } from "./rotation.ts";
import { floorTime } from "./schedule.ts";
import { belongsTo } from "./tags.ts";

const resultProblems = problems({
  ConfigurationInvalid: {
    message: "This rotation's part of the configuration is at fault; the other rotations run.",
    remedy: "Run `token-rotator validate`: it names every problem and how to mend it.",
    retryable: false,
  },
  SecretNotOurs: {
    message: "A secret of that name exists and was not written by this rotation; it is never overwritten.",
    remedy: "Choose another secret name, or set `adopt` to true on the output to take the secret over.",
    retryable: false,
  },
  NotReached: {
    message: "The tick's deadline came before this rotation was done.",
    remedy:
      "Nothing is lost: the next tick goes on with it. If it recurs, look for slow sources or throttling.",
    retryable: true,
  },
});

/** A rotation for which nothing may be done. */
export function blockedResult(rotation: Rotation, decision: Decision, durationMs: number): RotationResult {
  const base = resultBase(rotation, decision, durationMs, undefined);
  switch (decision.reason) {
    case "StateUnknown":
      return { ...base, outcome: "Failed", error: asRotatorError(decision.error, "gather") };
    case "ConfigurationInvalid": {
      const facts = { problem: decision.detail ?? "" };
      const error = new RotatorError(resultProblems.ConfigurationInvalid, { facts });
      return { ...base, outcome: "Blocked", error: asRotatorError(error, "configure") };
    }
    default: {
      const facts = { secret: decision.detail ?? "" };
      const error = new RotatorError(resultProblems.SecretNotOurs, { facts });
      return { ...base, outcome: "Blocked", error: asRotatorError(error, "decide") };
    }
  }
}

export function unchangedResult(
  rotation: Rotation,
  decision: Decision,
  outcome: Outcome,
  durationMs: number,
): RotationResult {
  return { ...resultBase(rotation, decision, durationMs, undefined), outcome };
}

/** `decision` is absent where the deadline came before the state was known. */
export function notReachedResult(
  rotation: Rotation,
  decision: Decision | undefined,
  durationMs: number,
): RotationResult {
  const error = asRotatorError(
    new RotatorError(resultProblems.NotReached),
    decision === undefined ? "gather" : "mint",
  );
  return { ...resultBase(rotation, decision, durationMs, undefined), outcome: "NotReached", error };
}

/** Its outputs were seen to, but time was up before all of its consumers were. What went wrong before that stays. */
export function consumersNotReached(result: RotationResult): RotationResult {
  if (isFailure(result.outcome) || result.outcome === "Paused") {
    return result;
  }
  const error = asRotatorError(new RotatorError(resultProblems.NotReached), "propagate");
  return { ...result, outcome: "NotReached", error };
}

/** `minted` is absent where nothing was. A fallback is told of also when its token was refused: that may be why. */
export function failedResult(
  rotation: Rotation,
  decision: Decision,
  thrown: unknown,
  { durationMs, minted }: { durationMs: number; minted?: Minted | undefined },
): RotationResult {
  const error = asRotatorError(thrown, "mint");
  const base = resultBase(rotation, decision, durationMs, undefined);
  return { ...base, ...(minted && fallbackOf(minted)), outcome: outcomeOf(error), error };
}

/** A rotation that minted: what was written decides, then what kept the rest from being written. */
export function rotatedResult(
  rotation: Rotation,
  decision: Decision,
  minted: Minted,
  { written, errors }: Publication,
  context: { now: number; durationMs: number; warnings: readonly unknown[]; states: States },
): RotationResult {
  const [first] = written;
  const [error] = errors;
  const base: Omit<RotationResult, "outcome"> = {
    ...resultBase(rotation, decision, context.durationMs, context.states),
    ...(first?.properties.version === undefined ? {} : { version: first.properties.version }),
    ...fallbackOf(minted),
    ...(minted.token.signInBy === undefined ? {} : { signInBy: minted.token.signInBy }),
    warnings: context.warnings.map((warning) => asRotatorError(warning, "publish")),
  };
  if (error !== undefined) {
    return { ...base, outcome: "Failed", error };
  }
  const endangered =
    base.expiresOn !== undefined && floorTime(base.expiresOn.getTime(), rotation.timing) <= context.now;
  if (first !== undefined) {
    if (!endangered) {
      return { ...base, outcome: "Rotated" };
    }
    const shortLived = asRotatorError(new RotatorError(publishProblems.TokenShortLived), "check");
    return { ...base, outcome: "Rotated", warnings: [...base.warnings, shortLived] };
  }
  return endangered
    ? {
        ...base,
        outcome: "Failed",
        error: asRotatorError(new RotatorError(publishProblems.TokenNotRenewed), "mint"),
      }
    : { ...base, outcome: "SourceUnchanged" };
}

function fallbackOf({ kind, position, passedOver: [first] }: Minted): Pick<RotationResult, "fallback"> {
  return first === undefined ? {} : { fallback: { kind, position, code: first.code } };
}

function outcomeOf(error: RotatorError): Outcome {
  switch (error.code) {
    case "SubjectChanged":
      return "SubjectChanged";
    case "SignInRequired":
      return "SignInRequired";
    default:
      return "Failed";
  }
}

function resultBase(
  rotation: Rotation,
  decision: Decision | undefined,
  durationMs: number,
  states: States | undefined,
): Omit<RotationResult, "outcome"> {
  let earliest: Date | undefined;
  for (const { output, state: gathered } of decision?.outputs ?? []) {
    const state = states?.get(outputKey(output)) ?? gathered;
    // Somebody else's secret says nothing about this rotation.
    if (state.kind === "present" && belongsTo(state.properties, rotation.name)) {
      const { expiresOn } = state.properties;
      earliest =
        expiresOn !== undefined && (earliest === undefined || expiresOn < earliest) ? expiresOn : earliest;
    }
  }
  return {
    rotation: rotation.name,
    reason: decision?.reason ?? "StateUnknown",
    ...(earliest === undefined ? {} : { expiresOn: earliest }),
    durationMs,
    consumers: none,
    warnings: none,
  };
}

/** The same for all: a tick may have thousands of results. */
const none: readonly [] = [];
