import { RotatorError } from "../errors.ts";
import type { CallContext, Clock } from "../ports.ts";

const firstWaitMs = 1_000;
const longestWaitMs = 16_000;
/** How much of a wait the jitter may take away, or add to a wait that the other side asked for. */
const jitterShare = 0.25;

export interface RetryOptions {
  readonly clock: Clock;
  readonly context: CallContext;
  /** Told before every wait. `attempt` counts the tries made so far. */
  readonly onRetry?: (error: RotatorError, attempt: number, waitMs: number) => void;
  /** In [0, 1); spreads callers that failed together. By default a sequence of the clock's own: see `spreadOf`. */
  readonly jitter?: () => number;
}

/**
 * Runs `operation` again while it fails with a retryable {@link RotatorError}. The waits double from 1 s to 16 s, which is
 * what Key Vault's throttling guidance asks for; a `Retry-After` makes a wait longer, never shorter. The Azure clients do
 * not retry a 429 that comes without one, so this counts for those too.
 *
 * No retry begins after `context.giveUpAt`: where the wait would end later, the error is thrown at once. The first try is
 * always made. Any other error, and an aborted signal, ends it at once; a try that is under way must heed the signal itself.
 *
 * @param operation gets the number of the try, from 1.
 * @throws the last error, whose `attempts` tells how many tries were made; the signal's reason when that aborts.
 */
export async function retry<T>(
  operation: (attempt: number) => Promise<T>,
  { clock, context, onRetry, jitter = spreadOf(clock) }: RetryOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    context.signal.throwIfAborted();
    try {
      return await operation(attempt);
    } catch (error) {
      context.signal.throwIfAborted();
      if (!(error instanceof RotatorError)) {
        throw error;
      }
      error.attempts = Math.max(attempt, error.attempts);
      const waitMs = waitAfter(attempt, error.retryAfterMs, jitter);
      if (!error.retryable || clock.now() + waitMs > context.giveUpAt) {
        throw error;
      }
      onRetry?.(error, attempt, waitMs);
      await clock.sleep(waitMs, context.signal);
    }
  }
}

function waitAfter(attempt: number, retryAfterMs: number | undefined, jitter: () => number): number {
  const backOffMs = Math.min(firstWaitMs * 2 ** (attempt - 1), longestWaitMs);
  const jitterMs = backOffMs * jitterShare * jitter();
  // Less than the back-off is fine; less than what the other side asked for is not.
  return Math.round(
    retryAfterMs === undefined
      ? backOffMs - jitterMs
      : Math.max(backOffMs - jitterMs, retryAfterMs + jitterMs),
  );
}

/**
 * Evenly spread numbers (multiples of the golden ratio, modulo 1), one sequence for each clock. Calls that fail together
 * get different waits, and a run on a virtual clock of its own replays exactly, which a random number would prevent.
 */
function spreadOf(clock: Clock): () => number {
  return () => {
    const step = (steps.get(clock) ?? 0) + 1;
    steps.set(clock, step);
    return (step * 0.618_033_988_749_895) % 1;
  };
}

const steps = new WeakMap<Clock, number>();
