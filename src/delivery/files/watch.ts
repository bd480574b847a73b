import type { Clock } from "../../ports.ts";
import { type PullEnvironment, type PulledFile, pullFiles } from "./pull.ts";
import { type PullTarget, shortestLookMs } from "./targets.ts";

export interface WatchOptions {
  readonly targets: readonly PullTarget[];
  readonly environment: PullEnvironment;
  readonly signal: AbortSignal;
  /** In [0, 1); keeps hosts with the same configuration apart. */
  readonly jitter: () => number;
  /**
   * Told what became of every look.
   * @returns the targets whose change could not be passed on: they are looked at again soon.
   */
  readonly onPulled: (pulled: readonly PulledFile[]) => Promise<ReadonlySet<PullTarget>>;
}

/** How long the calls of one look may be retried. */
const retryMs = 30_000;
/** Somebody may rotate before the time: a token that leaked, a changed configuration. */
const longestSleepMs = 3_600_000;
const longestBackOffMs = 300_000;

/**
 * Keeps the files up to date until the signal aborts: sleeps until a new version is due, then looks for it until it is
 * there. What fails is tried again at growing intervals, and the file stays as it is in the meantime.
 */
export async function watchFiles(options: WatchOptions): Promise<void> {
  const { targets, environment, signal, jitter, onPulled } = options;
  const { clock } = environment;
  const looks = new Map<PullTarget, { readonly at: number; readonly failures: number }>();
  const atOf = (target: PullTarget) => looks.get(target)?.at ?? 0;
  while (!signal.aborted) {
    const now = clock.now();
    const due = targets.filter((target) => atOf(target) <= now);
    const pulled = await pullFiles(due, environment, { signal, giveUpAt: now + retryMs });
    const again = await onPulled(pulled);
    for (const each of pulled) {
      const { target } = each;
      const failed = each.error !== undefined || again.has(target);
      const failures = failed ? (looks.get(target)?.failures ?? 0) + 1 : 0;
      looks.set(target, { at: nextLook(each, failures, clock.now(), jitter()), failures });
    }
    await sleepUntil(clock, Math.min(...targets.map(atOf)), signal);
  }
}

/**
 * When to look at a target again, in milliseconds since the epoch. A failure never brings the next look nearer.
 * @param failures how many looks in a row have failed.
 * @param jitter in [0, 1).
 */
export function nextLook(
  {
    target: { lookEveryMs },
    renewAt,
  }: Pick<PulledFile, "renewAt"> & { readonly target: Pick<PullTarget, "lookEveryMs"> },
  failures: number,
  now: number,
  jitter: number,
): number {
  const spreadMs = (lookEveryMs / 4) * jitter;
  if (failures > 0) {
    return now + Math.min(lookEveryMs * 2 ** (failures - 1), longestBackOffMs) + spreadMs;
  }
  const expectedAt = renewAt ?? now;
  return expectedAt > now
    ? Math.max(Math.min(expectedAt, now + longestSleepMs), now + shortestLookMs) + spreadMs
    : now + lookEveryMs + spreadMs;
}

/** A laptop that was asleep has not counted that time: its timers would fire as much later. */
const longestTimerMs = 60_000;

async function sleepUntil(clock: Clock, at: number, signal: AbortSignal): Promise<void> {
  for (let left = at - clock.now(); left > 0 && !signal.aborted; left = at - clock.now()) {
    await clock.sleep(Math.min(left, longestTimerMs), signal);
  }
}
