import { hash } from "node:crypto";
import type { Timing } from "./rotation.ts";

/** Share of a token's lifetime by which a rotation may be early, so that a thousand do not come due in one tick. */
const jitterShare = 0.05;

/** A token's lifetime, as far as it is known. Milliseconds since the epoch. */
export interface Life {
  readonly issuedOn: number;
  readonly expiresOn: number;
}

/**
 * When a token is to be replaced: two thirds into its lifetime (or at the configured margin), never nearer to its expiry
 * than the floor, and earlier by a jitter that depends on the rotation's name alone.
 */
export function renewalTime(name: string, life: Life, timing: Timing): number {
  const lifetime = Math.max(0, life.expiresOn - life.issuedOn);
  const margin = Math.max(timing.marginMs ?? lifetime / 3, timing.floorMs);
  return Math.floor(life.expiresOn - margin - jitter(name) * lifetime * jitterShare);
}

/** By this moment a token is to be replaced, whatever its lifetime. */
export function floorTime(expiresOn: number, { floorMs }: Timing): number {
  return expiresOn - floorMs;
}

/**
 * From this moment on the replacement is overdue, and a reader may come to hold an expired token, should the next ticks
 * fail too. It is later than the floor: a token that is renewed at the floor waits there for its tick, and nothing is wrong.
 */
export function staleTime(expiresOn: number, { floorMs, overdueMs = 0 }: Timing): number {
  return expiresOn - floorMs + overdueMs;
}

/** In [0, 1), the same for the same name in every process. */
function jitter(name: string): number {
  const known = jitters.get(name);
  if (known !== undefined) {
    return known;
  }
  const share = hash("sha256", name, "buffer").readUInt32BE(0) / 2 ** 32;
  jitters.set(name, share);
  return share;
}

/** Every tick asks for that of every rotation. */
const jitters = new Map<string, number>();
