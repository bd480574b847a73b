import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "./ports.ts";

/** The machine's clock: the one place where real time enters. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await sleep(ms, undefined, signal === undefined ? undefined : { signal });
    } catch {
      signal?.throwIfAborted();
    }
  },
};
