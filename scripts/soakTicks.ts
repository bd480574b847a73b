/* The process that `soak.ts` watches: a tick every five virtual minutes over the configuration given as argument. */
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../src/clock.ts";
import type { Clock } from "../src/ports.ts";

/** The time that it is now, to be acknowledged; or what an hour came to. */
export type FromSoak =
  | { readonly now: number }
  | { readonly usedMiB: number; readonly ticks: number; readonly failed: number };
export interface ToSoak {
  readonly now: number;
}

const tickMs = 5 * 60_000;
const hourMs = 60 * 60_000;
/** Sleeps that are longer stand for time-outs, and those are waited for in real time: what they limit takes real time too. */
const longestPollMs = 10_000;

const [file = "", hours = "24"] = process.argv.slice(2);
let now = await told();

function told(): Promise<number> {
  return new Promise((resolve) => process.once("message", ({ now: time }: ToSoak) => resolve(time)));
}

/** Takes everybody to that time. */
async function moveTo(time: number): Promise<void> {
  if (time > now) {
    now = time;
    const acknowledged = told();
    process.send?.({ now } satisfies FromSoak);
    await acknowledged;
  }
}

const clock: Clock = {
  now: () => now,
  sleep: async (ms, signal) => {
    if (ms >= longestPollMs) {
      await systemClock.sleep(ms, signal);
    } else {
      await setImmediate();
      signal?.throwIfAborted();
      await moveTo(now + ms);
    }
  },
};

// The SDKs read the machine's clock; for them, too, it is now.
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...time: unknown[]) {
    super(...((time.length === 0 ? [now] : time) as [number]));
  }

  static override now(): number {
    return now;
  }
} as DateConstructor;

const { createRotator, isFailure } = await import("../src/index.ts");
const rotator = await createRotator({ file, clock });
const startedAt = now;
let ticks = 0;
let failed = 0;
for (let hour = 1; hour <= Number(hours); hour += 1) {
  while (now < startedAt + hour * hourMs) {
    const { rotations } = await rotator.tick();
    ticks += 1;
    failed += rotations.filter(({ outcome }) => isFailure(outcome)).length;
    await moveTo(Math.floor(now / tickMs + 1) * tickMs);
  }
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await setImmediate();
  }
  const { heapUsed, external } = process.memoryUsage();
  process.send?.({ usedMiB: (heapUsed + external) / 2 ** 20, ticks, failed } satisfies FromSoak);
}
process.disconnect?.();
