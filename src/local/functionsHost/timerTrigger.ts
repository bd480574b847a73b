import type { Clock } from "../../ports.ts";
import type { Schedule } from "./ncrontab.ts";
import { type TimerStatus, type TimerStatuses, timerStatusOnTheWire } from "./timerStatusFiles.ts";

export interface TimerTriggerOptions {
  readonly name: string;
  readonly schedule: Schedule;
  readonly runOnStartup: boolean;
  /** Whether occurrences are recorded, so that a missed one is noticed at the next start. */
  readonly useMonitor: boolean;
  readonly clock: Clock;
  readonly statuses: TimerStatuses;
  /** Runs the function once. Resolves whatever becomes of it: a failed run advances the schedule too. */
  readonly invoke: (timer: TimerInfo, reason: string) => Promise<void>;
  readonly onScheduled: (next: number) => void;
  readonly warn: (message: string) => void;
}

/** What the runtime hands to a timer function; the programming model turns the names to camel case. */
export interface TimerInfo {
  readonly Schedule: { readonly AdjustForDST: true };
  /** `null` for a timer that is not monitored. */
  readonly ScheduleStatus: ReturnType<typeof timerStatusOnTheWire> | null;
  readonly IsPastDue: boolean;
}

export interface TimerTrigger {
  /** What a run that somebody asks for by hand is told. */
  info(): TimerInfo;
  /** Ends the schedule and waits for a run that is under way. */
  stop(): Promise<void>;
}

/**
 * Fires one timer function as the runtime's `TimerListener` and `ScheduleMonitor` do (azure-webjobs-sdk-extensions):
 * runs never overlap; occurrences that pass while a run is under way collapse to one, at once; a start that finds the
 * recorded next occurrence in the past makes one run with `IsPastDue`; a schedule that was changed meanwhile does not.
 */
export async function startTimerTrigger(options: TimerTriggerOptions): Promise<TimerTrigger> {
  const { name, schedule, clock, statuses } = options;
  const monitored = options.useMonitor && !schedule.subMinute;
  const record = async (status: TimerStatus) => {
    if (monitored) {
      await statuses.write(name, status).catch(() => {
        options.warn(`The status of timer '${name}' could not be recorded.`);
      });
    }
  };

  const startedAt = clock.now();
  const recorded = monitored ? await statuses.read(name) : undefined;
  let status =
    recorded === undefined ? firstStatus(schedule, startedAt) : revised(recorded, schedule, startedAt);
  if (status !== recorded) {
    await record(status);
  }
  options.onScheduled(status.next);

  const info = (isPastDue: boolean): TimerInfo => ({
    Schedule: { AdjustForDST: true },
    ScheduleStatus: monitored ? timerStatusOnTheWire(status) : null,
    IsPastDue: isPastDue,
  });

  const fire = async (reason: keyof typeof reasons) => {
    const firedAt = clock.now();
    const next = schedule.next(firedAt);
    options.onScheduled(next);
    await options.invoke(info(reason === "pastDue"), reasons[reason]);
    status = { last: firedAt, next, lastUpdated: firedAt };
    await record(status);
  };

  const stopped = new AbortController();
  const run = async () => {
    if (startedAt > status.next) {
      await fire("pastDue");
    } else if (options.runOnStartup) {
      await fire("startup");
    }
    while (await sleepUntil(status.next, clock, stopped.signal)) {
      await fire("due");
    }
  };
  const running = run();

  return {
    info: () => info(false),
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
}

const reasons = {
  pastDue: "Timer is past due",
  startup: "Timer runs on startup",
  due: "Timer fired",
};

function firstStatus(schedule: Schedule, now: number): TimerStatus {
  return { next: schedule.next(now), lastUpdated: now };
}

/** The recorded status, unless the schedule was changed since: then one that does not count as past due. */
function revised(recorded: TimerStatus, schedule: Schedule, now: number): TimerStatus {
  const computedFrom = recorded.last ?? recorded.lastUpdated ?? now;
  const expected = schedule.next(computedFrom);
  if (expected === recorded.next) {
    return recorded;
  }
  return now > expected ? firstStatus(schedule, now) : { next: expected, lastUpdated: computedFrom };
}

/**
 * Whether the time came; `false` once stopped. Sleeps at most a minute at a time: `setTimeout` ends at 24.8 days, and
 * does not count the hours that a laptop is closed.
 */
async function sleepUntil(time: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    for (let left = time - clock.now(); left > 0; left = time - clock.now()) {
      await clock.sleep(Math.min(left, 60_000), signal);
    }
  } catch {
    // Only the signal ends a sleep early.
  }
  return !signal.aborted;
}
