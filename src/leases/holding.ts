import { within } from "../core/deadline.ts";
import { retry } from "../core/retry.ts";
import { RotatorError } from "../errors.ts";
import type { CallContext, Clock } from "../ports.ts";
import { leaseProblems } from "./problems.ts";

/** A lease that runs out unless it is renewed. Every call is one try. */
export interface RenewableLease {
  /** For people and errors. */
  readonly name: string;
  /** Who holds it already gets it anew. @returns whether it is ours now. */
  acquire(signal: AbortSignal): Promise<boolean>;
  /** @returns whether it is ours still. */
  renew(signal: AbortSignal): Promise<boolean>;
  release(): Promise<void>;
}

/** Azure allows 15 to 60 seconds. A dead holder is in the way of the next one for so long at most. */
export const leaseMs = 30_000;
export const renewEveryMs = 10_000;
/** From the moment at which the last renewal was asked for; what is left is for the work to come to a halt. */
export const usableMs = 25_000;

/**
 * Runs `work` while the lease is held and renewed. `signal` aborts with `LeaseLost` once the lease was taken away, or once
 * it could not be renewed for so long that it is about to run out.
 *
 * @throws RotatorError `LeaseHeld`, and whatever the lease or the work throws.
 */
export async function whileHeld<T>(
  lease: RenewableLease,
  clock: Clock,
  context: CallContext,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  context.signal.throwIfAborted();
  const acquiredAt = clock.now();
  if (!(await lease.acquire(context.signal))) {
    throw new RotatorError(leaseProblems.LeaseHeld, { facts: { lease: lease.name } });
  }
  const done = new AbortController();
  const lost = new AbortController();
  const renewing = keepRenewing(lease, clock, acquiredAt, done.signal).catch((error: unknown) => {
    if (!done.signal.aborted) {
      lost.abort(lossOf(lease, error));
    }
  });
  try {
    return await work(AbortSignal.any([context.signal, lost.signal]));
  } finally {
    done.abort();
    await renewing;
    // Also where the caller has given up. What cannot be released runs out.
    await lease.release().catch(() => {});
  }
}

/** @throws `LeaseLost`, or what keeps it from being renewed; and when `done` aborts. */
async function keepRenewing(
  lease: RenewableLease,
  clock: Clock,
  acquiredAt: number,
  done: AbortSignal,
): Promise<never> {
  for (let renewedAt = acquiredAt; ; ) {
    await clock.sleep(renewEveryMs, done);
    const askedAt = clock.now();
    // No longer than that, also where the clock was set back meanwhile.
    const leftMs = Math.min(renewedAt + usableMs - askedAt, usableMs - renewEveryMs);
    const renew = (signal: AbortSignal) =>
      retry(() => lease.renew(signal), { clock, context: { signal, giveUpAt: askedAt + leftMs } });
    // Nothing is left where the process stood still: what runs beside this must know at once.
    const isOurs = leftMs > 0 && (await within(clock, leftMs, done, renew));
    if (!isOurs) {
      throw new RotatorError(leaseProblems.LeaseLost, { facts: { lease: lease.name } });
    }
    renewedAt = askedAt;
  }
}

function lossOf({ name }: RenewableLease, cause: unknown): RotatorError {
  if (cause instanceof RotatorError && cause.code === leaseProblems.LeaseLost.code) {
    return cause;
  }
  // What is no error of ours: time was up while a renewal was under way.
  const because = cause instanceof RotatorError ? { because: cause.code } : {};
  return new RotatorError(leaseProblems.LeaseLost, { cause, facts: { lease: name, ...because } });
}
