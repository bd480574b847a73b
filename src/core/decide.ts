import type { RotatorError } from "../errors.ts";
import type { Reason } from "../events.ts";
import type { SecretProperties, SecretState } from "../ports.ts";
import type { Output, Rotation, States } from "./rotation.ts";
import { outputKey } from "./rotation.ts";
import { renewalTime } from "./schedule.ts";
import { belongsTo, issuedOn, pausedUntil, tagNames } from "./tags.ts";

/** What is to be done about one rotation, and why. Logs, telemetry, `plan` and the act itself are made from it. */
export interface Decision {
  readonly action: "rotate" | "none" | "blocked";
  readonly reason: Reason;
  /** Per output, in the order of the configuration, why it is due or is not. */
  readonly outputs: readonly OutputDecision[];
  /** Why nothing may be done, where `action` is `blocked`. */
  readonly detail?: string;
  readonly error?: RotatorError;
}

export interface OutputDecision {
  readonly output: Output;
  readonly state: SecretState;
  readonly reason: Reason;
}

export interface DecisionOptions {
  /** Mint although nothing is due. */
  readonly force: boolean;
}

/** The reasons to mint, the most telling first: a rotation is reported with the first that any of its outputs gives. */
const mintReasons: readonly Reason[] = [
  "SecretMissing",
  "SecretDisabled",
  "Expired",
  "NearingExpiry",
  "SpecChanged",
  "OutputsDiverged",
  "Forced",
];

/** Decides from what was gathered. Pure: equal input, equal decision. */
export function decide(rotation: Rotation, states: States, now: number, options: DecisionOptions): Decision {
  const outputs = rotation.outputs.map((output): OutputDecision => {
    const state = states.get(outputKey(output)) ?? { kind: "absent" };
    return { output, state, reason: outputReason(rotation, output, state, now) };
  });
  if (rotation.faults.length > 0) {
    return { action: "blocked", reason: "ConfigurationInvalid", outputs, detail: rotation.faults.join("; ") };
  }
  const foreign = outputs.find(({ reason }) => reason === "Blocked");
  if (foreign !== undefined) {
    return { action: "blocked", reason: "Blocked", outputs, detail: foreign.output.secret };
  }
  if (isPaused(rotation, outputs, now)) {
    return { action: "none", reason: "Paused", outputs };
  }
  const judged = withDivergence(outputs, options);
  const reason = mintReasons.find((candidate) => judged.some((output) => output.reason === candidate));
  if (reason !== undefined) {
    return { action: "rotate", reason, outputs: judged };
  }
  const unknown = judged.find(({ state }) => state.kind === "unknown");
  if (unknown?.state.kind === "unknown") {
    return { action: "blocked", reason: "StateUnknown", outputs: judged, error: unknown.state.error };
  }
  return { action: "none", reason: "Fresh", outputs: judged };
}

/**
 * The ordered chain over one output: each check is named after the bad state that it finds, and the first that finds
 * something wins.
 */
function outputReason(rotation: Rotation, output: Output, state: SecretState, now: number): Reason {
  if (state.kind === "unknown") {
    return "StateUnknown";
  }
  if (state.kind === "absent") {
    return "SecretMissing";
  }
  const { properties } = state;
  if (!belongsTo(properties, rotation.name)) {
    return output.adopt ? "SpecChanged" : "Blocked";
  }
  if (!properties.enabled) {
    return "SecretDisabled";
  }
  if (properties.expiresOn === undefined || properties.expiresOn.getTime() <= now) {
    return "Expired";
  }
  if (properties.tags[tagNames.spec] !== output.spec) {
    return "SpecChanged";
  }
  return renewAt(rotation, properties) <= now ? "NearingExpiry" : "Fresh";
}

/** When this version is to be replaced, in milliseconds since the epoch; at once where it carries no expiry. */
export function renewAt(rotation: Rotation, properties: SecretProperties): number {
  const expiresOn = properties.expiresOn?.getTime();
  if (expiresOn === undefined) {
    return Number.NEGATIVE_INFINITY;
  }
  const begun = issuedOn(properties) ?? properties.createdOn?.getTime() ?? expiresOn;
  return renewalTime(rotation.name, { issuedOn: begun, expiresOn }, rotation.timing);
}

/** A pause by configuration or by a tag on any of the outputs. */
function isPaused(rotation: Rotation, outputs: readonly OutputDecision[], now: number): boolean {
  const ends = outputs.map(({ state }) =>
    state.kind === "present" && belongsTo(state.properties, rotation.name)
      ? pausedUntil(state.properties)
      : undefined,
  );
  if (rotation.paused !== undefined) {
    ends.push(rotation.paused.until ?? Number.POSITIVE_INFINITY);
  }
  return ends.some((end) => end !== undefined && now < end);
}

/** Outputs that hold different tokens, and an order to mint, show only when an output is looked at beside the others. */
function withDivergence(
  outputs: readonly OutputDecision[],
  options: DecisionOptions,
): readonly OutputDecision[] {
  if (outputs.length === 1 && !options.force) {
    return outputs;
  }
  const tokens = new Set(
    outputs.flatMap(({ state, reason }) =>
      state.kind === "present" && reason === "Fresh" ? [state.properties.tags[tagNames.token]] : [],
    ),
  );
  return outputs.map((output) => {
    if (output.reason !== "Fresh") {
      return output;
    }
    if (tokens.size > 1) {
      return { ...output, reason: "OutputsDiverged" };
    }
    return options.force ? { ...output, reason: "Forced" } : output;
  });
}
