import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseNcrontab } from "../../../src/local/functionsHost/ncrontab.ts";
import type { TimerStatus } from "../../../src/local/functionsHost/timerStatusFiles.ts";
import {
  startTimerTrigger,
  type TimerInfo,
  type TimerTrigger,
  type TimerTriggerOptions,
} from "../../../src/local/functionsHost/timerTrigger.ts";
import { VirtualClock } from "../../virtualClock.ts";

const minute = 60_000;
const noon = Date.UTC(2026, 5, 1, 12);

interface Run {
  /** Minutes after noon. */
  readonly at: number;
  readonly isPastDue: boolean;
  readonly info: TimerInfo;
}

/** One timer on a virtual clock that begins at noon, with what it did. */
class Bench {
  readonly clock = new VirtualClock(noon);
  readonly runs: Run[] = [];
  readonly warnings: string[] = [];
  readonly scheduled: number[] = [];
  recorded: TimerStatus | undefined;
  /** What a run takes, in minutes. */
  runMinutes = 0;
  failRecording = false;

  start(expression: string, options: Partial<TimerTriggerOptions> = {}): Promise<TimerTrigger> {
    return startTimerTrigger({
      name: "timer",
      schedule: parseNcrontab(expression),
      runOnStartup: false,
      useMonitor: true,
      clock: this.clock,
      statuses: {
        read: async () => this.recorded,
        write: async (_timer, status) => {
          if (this.failRecording) {
            throw new Error("the disk is full");
          }
          this.recorded = status;
        },
      },
      invoke: async (info) => {
        this.runs.push({ at: this.#minutes(this.clock.now()), isPastDue: info.IsPastDue, info });
        if (this.runMinutes > 0) {
          await this.clock.sleep(this.runMinutes * minute);
        }
      },
      onScheduled: (next) => this.scheduled.push(this.#minutes(next)),
      warn: (message) => this.warnings.push(message),
      ...options,
    });
  }

  get times(): number[] {
    return this.runs.map(({ at }) => at);
  }

  #minutes(time: number): number {
    return (time - noon) / minute;
  }
}

const everyFiveMinutes = "0 */5 * * * *";

describe("a timer trigger", () => {
  it("fires at every occurrence, not at its start, and says when the next one is", async () => {
    const bench = new Bench();
    await bench.start(everyFiveMinutes);
    assert.deepEqual(bench.scheduled, [5]);
    await bench.clock.advance(16 * minute);
    assert.deepEqual(bench.times, [5, 10, 15]);
    assert.deepEqual(bench.scheduled, [5, 10, 15, 20]);
    assert.deepEqual(
      bench.runs.map(({ isPastDue }) => isPastDue),
      [false, false, false],
    );
  });

  it("tells the function when it fired last and when this run was due", async () => {
    const bench = new Bench();
    await bench.start(everyFiveMinutes);
    await bench.clock.advance(10 * minute);
    assert.deepEqual(
      bench.runs.map(({ info }) => info),
      [
        {
          Schedule: { AdjustForDST: true },
          ScheduleStatus: {
            Last: "0001-01-01T00:00:00+00:00",
            Next: "2026-06-01T12:05:00.000+00:00",
            LastUpdated: "2026-06-01T12:00:00.000+00:00",
          },
          IsPastDue: false,
        },
        {
          Schedule: { AdjustForDST: true },
          ScheduleStatus: {
            Last: "2026-06-01T12:05:00.000+00:00",
            Next: "2026-06-01T12:10:00.000+00:00",
            LastUpdated: "2026-06-01T12:05:00.000+00:00",
          },
          IsPastDue: false,
        },
      ],
    );
  });

  it("makes one past-due run at the start for however many were missed", async () => {
    const bench = new Bench();
    bench.recorded = { last: noon - 62 * minute, next: noon - 60 * minute };
    await bench.start(everyFiveMinutes);
    await bench.clock.advance(6 * minute);
    assert.deepEqual(
      bench.runs.map(({ at, isPastDue }) => [at, isPastDue]),
      [
        [0, true],
        [5, false],
      ],
    );
    assert.equal(bench.runs[0]?.info.ScheduleStatus?.Next, "2026-06-01T11:00:00.000+00:00");
  });

  it("is past due from the millisecond after the recorded occurrence", async () => {
    for (const [late, expected] of [
      [0, false],
      [1, true],
    ] as const) {
      const bench = new Bench();
      bench.recorded = { lastUpdated: noon - 5 * minute - late, next: noon - late };
      await bench.start(everyFiveMinutes, {
        schedule: { ...parseNcrontab(everyFiveMinutes), next: (after) => after + 5 * minute },
      });
      await bench.clock.settle();
      assert.deepEqual(
        bench.runs.map(({ at, isPastDue }) => [at, isPastDue]),
        [[0, expected]],
      );
    }
  });

  it("is not past due because its schedule was changed", async () => {
    const bench = new Bench();
    bench.recorded = { last: noon - 60 * minute, next: noon - 30 * minute };
    await bench.start(everyFiveMinutes);
    assert.deepEqual(bench.recorded, { next: noon + 5 * minute, lastUpdated: noon });
    await bench.clock.advance(5 * minute);
    assert.deepEqual(
      bench.runs.map(({ at, isPastDue }) => [at, isPastDue]),
      [[5, false]],
    );
  });

  it("takes over a changed schedule whose next occurrence is still to come", async () => {
    const bench = new Bench();
    bench.recorded = { last: noon - minute, next: noon + 59 * minute };
    await bench.start("0 30 * * * *");
    assert.deepEqual(bench.recorded, { next: noon + 30 * minute, lastUpdated: noon - minute });
  });

  it("never overlaps: what passes during a run collapses to one run, at once", async () => {
    const bench = new Bench();
    bench.runMinutes = 12;
    await bench.start(everyFiveMinutes);
    await bench.clock.advance(30 * minute);
    assert.deepEqual(bench.times, [5, 17, 29]);
    assert.deepEqual(
      bench.runs.map(({ isPastDue }) => isPastDue),
      [false, false, false],
    );
  });

  it("runs on startup when asked to, but not in addition to a past-due run", async () => {
    const bench = new Bench();
    await bench.start(everyFiveMinutes, { runOnStartup: true });
    await bench.clock.settle();
    assert.deepEqual(
      bench.runs.map(({ at, isPastDue }) => [at, isPastDue]),
      [[0, false]],
    );

    const late = new Bench();
    late.recorded = { last: noon - 12 * minute, next: noon - 10 * minute };
    await late.start(everyFiveMinutes, { runOnStartup: true });
    await late.clock.settle();
    assert.deepEqual(
      late.runs.map(({ at, isPastDue }) => [at, isPastDue]),
      [[0, true]],
    );
  });

  it("keeps no status of a timer that fires more than once a minute, or that wants none", async () => {
    for (const [expression, useMonitor] of [
      ["*/20 * * * * *", true],
      [everyFiveMinutes, false],
    ] as const) {
      const bench = new Bench();
      bench.recorded = undefined;
      const timer = await bench.start(expression, { useMonitor });
      await bench.clock.advance(5 * minute);
      assert.equal(bench.recorded, undefined);
      assert.ok(bench.runs.length > 0);
      assert.equal(bench.runs[0]?.info.ScheduleStatus, null);
      assert.equal(timer.info().ScheduleStatus, null);
    }
  });

  it("goes on when the status cannot be recorded, and says so", async () => {
    const bench = new Bench();
    bench.failRecording = true;
    await bench.start(everyFiveMinutes);
    await bench.clock.advance(10 * minute);
    assert.deepEqual(bench.times, [5, 10]);
    assert.deepEqual(bench.warnings, Array(3).fill("The status of timer 'timer' could not be recorded."));
  });

  it("waits for an occurrence that is further away than a timeout can be", async () => {
    const bench = new Bench();
    await bench.start("0 0 12 27 6 *");
    const wait = 26 * 24 * 60 * minute;
    assert.ok(wait > 2 ** 31);
    await bench.clock.advance(wait - 1);
    assert.equal(bench.runs.length, 0);
    await bench.clock.advance(1);
    assert.equal(bench.runs.length, 1);
  });

  it("stops: ends the wait, or waits for the run that is under way, and fires no more", async () => {
    const idle = new Bench();
    await (await idle.start(everyFiveMinutes)).stop();
    assert.equal(idle.clock.sleeping, 0);

    const busy = new Bench();
    busy.runMinutes = 2;
    const timer = await busy.start(everyFiveMinutes);
    await busy.clock.advance(5 * minute);
    let stopped = false;
    const stopping = timer.stop().then(() => {
      stopped = true;
    });
    await busy.clock.advance(minute);
    assert.equal(stopped, false);
    await busy.clock.advance(minute);
    await stopping;
    await busy.clock.advance(60 * minute);
    assert.deepEqual(busy.times, [5]);
    assert.equal(busy.recorded?.last, noon + 5 * minute);
  });
});
