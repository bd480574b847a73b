import type { ReadyRotation } from "../config/configuration.ts";
import type { AppModel } from "./appModel.ts";
import { latestDue } from "./dueTimes.ts";
import { mostSkewMs } from "./obstacles.ts";
import type { Held } from "./readers.ts";
import type { World } from "./world.ts";

interface PastTick {
  readonly startedAt: number;
  readonly endedAt: number;
  /** Names of rotations, and their ways to apps, that nothing stood in the way of. */
  readonly clear: ReadonlySet<string>;
}

/** Ticks are remembered as far back as a token can live. */
const rememberedMs = 30 * 60 * 60_000;

/** The ticks that came to their end, by which it is judged whether an expired token could have been prevented. */
export class PastTicks {
  readonly #world: World;
  #ticks: PastTick[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  add(tick: PastTick): void {
    this.#ticks.push(tick);
    while (this.#ticks[0] !== undefined && this.#ticks[0].startedAt <= tick.endedAt - rememberedMs) {
      this.#ticks.shift();
    }
  }

  forget(): void {
    this.#ticks = [];
  }

  /** Whether a tick that nothing stood in the way of had the time to replace the token. */
  couldReplace(
    held: Held,
    rotation: ReadyRotation,
    propagationMs: number,
    app: AppModel | undefined,
  ): boolean {
    const due = latestDue(held, rotation) + mostSkewMs;
    const until = held.expiresAt - propagationMs;
    return this.#ticks.some(
      ({ startedAt, endedAt, clear }) =>
        startedAt >= due &&
        endedAt <= until &&
        !this.#world.faults.touches("operator", rotation.name, startedAt, endedAt + propagationMs) &&
        clear.has(rotation.name) &&
        (app === undefined || clear.has(clearWay(rotation.name, app.id))),
    );
  }
}

/** From a rotation to an app: what keeps one rotation's secret from it need not keep another's. */
export function clearWay(rotation: string, app: string): string {
  return `${rotation} ${app}`;
}
