import type { TickReport } from "../core/result.ts";
import { isFailure } from "../core/result.ts";
import type { Outcome } from "../events.ts";

/** What one rotation came to in one tick. Times are milliseconds since the epoch. */
export interface Attempt {
  readonly at: number;
  readonly outcome: Outcome;
  /** Of the error, where there was one. */
  readonly code?: string;
}

/**
 * What the ticks of this process came to. It is gone with the process, and knows nothing of other processes: on the Flex
 * Consumption plan the timer has one of its own. What must be true of the installation is derived from the vault instead.
 */
export class History {
  readonly #latest = new Map<string, Attempt>();
  readonly #latestFailure = new Map<string, Attempt>();
  readonly #counts = new Map<Outcome, number>();

  add({ rotations }: TickReport, at: number): void {
    for (const { rotation, outcome, error } of rotations) {
      const attempt = { at, outcome, ...(error === undefined ? {} : { code: error.code }) };
      if (!idle.has(outcome)) {
        this.#latest.set(rotation, attempt);
      }
      if (isFailure(outcome)) {
        this.#latestFailure.set(rotation, attempt);
      }
      this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + 1);
    }
  }

  /** The last time that something came of it: ticks that found nothing to do are left out. */
  latest(rotation: string): Attempt | undefined {
    return this.#latest.get(rotation);
  }

  /** The last failure of every rotation that has failed, by the rotation's name. */
  get failures(): ReadonlyMap<string, Attempt> {
    return this.#latestFailure;
  }

  /** How many rotations ended so, since the process began. */
  get counts(): ReadonlyMap<Outcome, number> {
    return this.#counts;
  }
}

const idle: ReadonlySet<Outcome> = new Set<Outcome>(["Fresh", "Paused"]);
