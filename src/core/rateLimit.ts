import type { Clock } from "../ports.ts";

/** Runs `work` when its turn comes; rejects with the signal's reason if that aborts while it waits. */
export type Limit = <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

export interface LaneOptions {
  readonly clock: Clock;
  /** At most so many calls begin within any `windowMs`. */
  readonly limit: number;
  readonly windowMs: number;
  /** At most so many calls run at once. */
  readonly concurrency: number;
}

export interface Lane {
  readonly run: Limit;
  /** Begins no call for so long: the other side is throttling. The longest of several pauses counts. */
  pause(ms: number): void;
}

/**
 * Calls of one kind to one service: bounded in number, and begun within its published limit. A call takes its place among
 * the running ones first and counts against the limit when it really begins; the other way round, calls that hold a
 * permission and wait for a place would pile up and then begin all at once.
 */
export function createLane({ clock, limit, windowMs, concurrency }: LaneOptions): Lane {
  const inPlace = concurrencyLimit(concurrency);
  const rate = createRateLimit({ clock, limit, windowMs });
  let pausedUntil = Number.NEGATIVE_INFINITY;
  return {
    run: (work, signal) =>
      inPlace(async () => {
        while (clock.now() < pausedUntil) {
          await clock.sleep(pausedUntil - clock.now(), signal);
        }
        await rate.take(signal);
        return await work();
      }, signal),
    pause: (ms) => {
      pausedUntil = Math.max(pausedUntil, clock.now() + ms);
    },
  };
}

export interface RateLimit {
  /** Resolves when the next call may begin, first come, first served. */
  take(signal?: AbortSignal): Promise<void>;
}

/**
 * At most `limit` calls in any `windowMs`, counted over a sliding window. However many wait, only one of them sleeps.
 */
export function createRateLimit({
  clock,
  limit,
  windowMs,
}: Pick<LaneOptions, "clock" | "limit" | "windowMs">): RateLimit {
  // When the last `limit` calls began; `oldest` is the next slot to be used again.
  const begun = new Float64Array(limit).fill(Number.NEGATIVE_INFINITY);
  let oldest = 0;
  const queue = createQueue();
  let releasing = false;
  let sleeping = new AbortController();

  function waitMs(): number {
    const elapsed = clock.now() - (begun[oldest] as number);
    // A clock that was set back would keep the slot for as long as it was set back.
    return elapsed < 0 || elapsed >= windowMs ? 0 : windowMs - elapsed;
  }

  function use(): void {
    begun[oldest] = clock.now();
    oldest = (oldest + 1) % limit;
  }

  async function release(): Promise<void> {
    releasing = true;
    while (queue.size > 0) {
      const ms = waitMs();
      if (ms === 0) {
        use();
        queue.next();
      } else {
        sleeping = new AbortController();
        await clock.sleep(ms, sleeping.signal).catch(() => {});
      }
    }
    releasing = false;
  }

  return {
    take: async (signal) => {
      signal?.throwIfAborted();
      if (queue.size === 0 && waitMs() === 0) {
        use();
        return;
      }
      const turn = queue.wait(signal);
      if (!releasing) {
        void release();
      }
      try {
        await turn;
      } catch (error) {
        if (queue.size === 0) {
          // Nobody is left to sleep for, and a timer would keep the process alive.
          sleeping.abort();
        }
        throw error;
      }
    },
  };
}

/** At most `limit` calls at once, first come, first served. */
export function concurrencyLimit(limit: number): Limit {
  const queue = createQueue();
  let running = 0;
  return async (work, signal) => {
    signal?.throwIfAborted();
    if (running < limit) {
      running += 1;
    } else {
      // Whoever ends hands its place over, so `running` stays as it is.
      await queue.wait(signal);
    }
    try {
      return await work();
    } finally {
      if (!queue.next()) {
        running -= 1;
      }
    }
  };
}

interface Queue {
  readonly size: number;
  wait(signal?: AbortSignal): Promise<void>;
  /** Lets the first one go; false when nobody waits. */
  next(): boolean;
}

/** First in, first out. A set keeps its order and forgets an aborted caller in constant time. */
function createQueue(): Queue {
  const waiting = new Set<() => void>();
  return {
    get size() {
      return waiting.size;
    },
    wait: (signal) =>
      new Promise((resolve, reject) => {
        const go = () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        };
        const abort = () => {
          waiting.delete(go);
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", abort, { once: true });
        waiting.add(go);
      }),
    next: () => {
      const [first] = waiting;
      if (first === undefined) {
        return false;
      }
      waiting.delete(first);
      first();
      return true;
    },
  };
}
