import { systemClock } from "../src/clock.ts";
import type { Clock } from "../src/ports.ts";

/** Waits a twentieth of what is waited between tries, and says that it was the whole of it; deadlines stay what they are. */
export function impatientClock(): Clock {
  let aheadMs = 0;
  return {
    now: () => systemClock.now() + aheadMs,
    sleep: async (ms, signal) => {
      const waitMs = ms < 3_000 ? ms / 20 : ms;
      await systemClock.sleep(waitMs, signal);
      aheadMs += ms - waitMs;
    },
  };
}
