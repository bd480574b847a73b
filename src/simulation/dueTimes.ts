import type { ReadyRotation } from "../config/configuration.ts";
import type { Held } from "./readers.ts";

/** The schedule's jitter makes a renewal earlier by at most this share of the lifetime. */
const jitterShare = 0.05;

/** From here on the schedule may call the token due. Milliseconds since the epoch. */
export function earliestDue(held: Held, rotation: ReadyRotation): number {
  return latestDue(held, rotation) - lifetimeOf(held) * jitterShare - 1_000;
}

/** From here on it must. */
export function latestDue(held: Held, { marginMs, floorMs }: ReadyRotation): number {
  return held.recordedExpiry - Math.max(marginMs ?? lifetimeOf(held) / 3, floorMs);
}

function lifetimeOf({ recordedExpiry, recordedIssue }: Held): number {
  return Math.max(0, recordedExpiry - recordedIssue);
}
