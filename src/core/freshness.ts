import type { Freshness, Reason } from "../events.ts";
import type { Decision, OutputDecision } from "./decide.ts";
import type { Rotation } from "./rotation.ts";
import { staleTime } from "./schedule.ts";

/**
 * The health of one output. It shares its checks with the decision and differs in the last ones: the decision asks
 * whether it is time to act, this asks whether a reader is in danger.
 */
export function freshness(
  rotation: Rotation,
  decision: Decision,
  { state, reason }: OutputDecision,
  now: number,
): Freshness {
  if (state.kind === "unknown") {
    return "unknown";
  }
  if (reason === "Blocked") {
    return "blocked";
  }
  if (state.kind === "absent" || !state.properties.enabled) {
    return "missing";
  }
  const expiresOn = state.properties.expiresOn?.getTime();
  if (expiresOn === undefined || expiresOn <= now) {
    return "expired";
  }
  if (staleTime(expiresOn, rotation.timing) <= now) {
    return "stale";
  }
  if (decision.reason === "ConfigurationInvalid") {
    return "blocked";
  }
  if (decision.reason === "Paused") {
    return "paused";
  }
  return isDue(reason) ? "due" : "fresh";
}

/** The health that asks for somebody's attention: `status` and `exec` exit with 1. */
export function needsAttention(word: Freshness): boolean {
  return word !== "fresh" && word !== "due" && word !== "paused";
}

function isDue(reason: Reason): boolean {
  return reason !== "Fresh";
}
