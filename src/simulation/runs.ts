import type { TelemetryEvent } from "../events.ts";
import type { Instance } from "./instance.ts";

/** One run of the engine, by the timer or by a person. */
export interface Run {
  readonly instance: Instance;
  readonly by: "timer" | "person";
  /** True time, in milliseconds since the epoch. */
  readonly startedAt: number;
  readonly events: readonly TelemetryEvent[];
}

/** The runs that are under way, and when several were: nothing in Azure keeps writers apart. */
export class Runs {
  readonly #underWay = new Set<Run>();
  /** Also of an instance whose run has ended: what it has left behind may still write. */
  readonly #latest = new WeakMap<Instance, Run>();
  #overlappedAt = Number.NEGATIVE_INFINITY;

  begin(run: Run, now: number): void {
    this.#underWay.add(run);
    this.#latest.set(run.instance, run);
    if (this.#underWay.size > 1) {
      this.#overlappedAt = now;
    }
  }

  end(run: Run): void {
    this.#underWay.delete(run);
  }

  latestOf(instance: Instance): Run | undefined {
    return this.#latest.get(instance);
  }

  /** Whether two runs are under way, or were at any moment since then; by default since the oldest that is began. */
  overlap(since = Math.min(...[...this.#underWay].map(({ startedAt }) => startedAt))): boolean {
    return this.#underWay.size > 1 || this.#overlappedAt >= since;
  }
}
