/* The process that `soak.ts` watches: a tick every five virtual minutes over the configuration given as argument. */
import { setImmediate } from "node:timers/promises";
import { getHeapSpaceStatistics, writeHeapSnapshot } from "node:v8";
import { systemClock } from "../src/clock.ts";
import type { Clock } from "../src/ports.ts";

/** The time that it is now, to be acknowledged; or what an hour came to. */
export type FromSoak =
  | { readonly now: number }
  | { readonly usedKiB: number; readonly ticks: number; readonly failed: number };
export interface ToSoak {
  readonly now: number;
}

const tickMs = 5 * 60_000;
const hourMs = 60 * 60_000;
const flushMs = 30_000;
const wordsInKiB = 1024 / 8;
/** Sleeps that are longer stand for time-outs, and those are waited for in real time: what they limit takes real time too. */
const longestPollMs = 10_000;

const [file = "", hours = "24", leakKiB = "0", snapshots = ""] = process.argv.slice(2);
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
const { chooseIdentity } = await import("../src/identity.ts");
const { createApplicationInsights } = await import("../src/telemetry/applicationInsights.ts");
const telemetry = createApplicationInsights({
  environment: process.env,
  credential: chooseIdentity(process.env).credential,
  log: (level, line) => console.error(level, line),
  traceParent: () => undefined,
});
const rotator = await createRotator({ file, clock, telemetry });
const startedAt = now;
const leaked: unknown[] = [];
let ticks = 0;
let failed = 0;
for (let hour = 1; hour <= Number(hours); hour += 1) {
  while (now < startedAt + hour * hourMs) {
    const { rotations } = await rotator.tick();
    await telemetry.flush(AbortSignal.timeout(flushMs));
    ticks += 1;
    failed += rotations.filter(({ outcome }) => isFailure(outcome)).length;
    await moveTo(Math.floor(now / tickMs + 1) * tickMs);
  }
  leaked.push(new Array(Number(leakKiB) * wordsInKiB).fill(hour));
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await setImmediate();
  }
  if (snapshots.split(",").includes(String(hour))) {
    writeHeapSnapshot(`soak-${hour}.heapsnapshot`);
  }
  process.send?.({ usedKiB: usedKiB(), ticks, failed } satisfies FromSoak);
}
process.disconnect?.();

/**
 * What the program holds: objects, and buffers outside of the heap. Machine code is left out: V8 goes on compiling for days,
 * some ten kilobytes an hour, and throws code away when it needs the room.
 */
function usedKiB(): number {
  const spaces = getHeapSpaceStatistics().filter(({ space_name: name }) => !/code|trusted/.test(name));
  const heap = spaces.reduce((sum, { space_used_size: used }) => sum + used, 0);
  return (heap + process.memoryUsage().external) / 1024;
}
