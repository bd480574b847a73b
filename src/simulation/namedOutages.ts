import type { Outage } from "./faults.ts";
import type { Actor } from "./simulation.ts";

/** What a person can name to be out of order. `timer` is the function's trigger. */
export const outagePlaces = ["identity", "vault", "provider", "apps", "timer"] as const;

/** An outage that comes again and again. */
export interface NamedOutage {
  readonly what: (typeof outagePlaces)[number];
  readonly lastsMs: number;
  /** Once within every stretch of this length, at a moment that the seed decides. */
  readonly everyMs: number;
}

/** Lets the outage begin at another moment of every stretch, so that a long run sees it meet every phase of a token's life. */
export function recurring({ what, lastsMs, everyMs }: NamedOutage, index: number): Actor {
  return async ({ world, faults, startsAt, random }) => {
    const { clock } = world;
    const own = random.fork(`outage ${index}`);
    for (let from = startsAt; ; from += everyMs) {
      await clock.sleep(from + own.next() * (everyMs - lastsMs) - clock.now());
      const outage: Outage = { what, from: clock.now(), to: clock.now() + lastsMs };
      faults.begin(what === "timer" ? outage : { ...outage, how: "refuses" });
    }
  };
}
