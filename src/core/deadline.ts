import type { CallContext, Clock } from "../ports.ts";

/** Why a signal was aborted: time was up. */
export class DeadlinePassed extends Error {
  override readonly name = "DeadlinePassed";
}

export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/** Given as the reason, because an error made for each would cost more than most of the work that it ends. */
const workDone = "the work is done";

/** A signal that aborts `ms` from now, or when `outer` does. Dispose of it when the work is done: that ends the timer. */
export function startDeadline(clock: Clock, ms: number, outer?: AbortSignal): Deadline {
  const done = new AbortController();
  const expired = new AbortController();
  clock.sleep(Math.max(0, ms), done.signal).then(
    () => expired.abort(new DeadlinePassed("the time for this call is up")),
    () => {},
  );
  // Not `AbortSignal.any`: it costs as much as all the rest, and here it is known when nobody listens any more.
  const abort = () => expired.abort(outer?.reason);
  if (outer?.aborted) {
    abort();
  } else {
    outer?.addEventListener("abort", abort, { once: true });
  }
  return {
    signal: expired.signal,
    [Symbol.dispose]: () => {
      outer?.removeEventListener("abort", abort);
      done.abort(workDone);
    },
  };
}

/** The work's result, or the signal's reason as soon as it aborts: work that does not heed it is left behind. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const settled = () => signal.removeEventListener("abort", abort);
    // Also where the work is left behind: it may still fail, and then somebody must have looked.
    work.then(
      (result) => {
        settled();
        resolve(result);
      },
      (error: unknown) => {
        settled();
        reject(error);
      },
    );
    if (signal.aborted) {
      abort();
    } else {
      signal.addEventListener("abort", abort, { once: true });
    }
  });
}

/** Runs `work` under a signal that aborts `ms` from now, or when `outer` does, and waits no longer than that. */
export async function within<T>(
  clock: Clock,
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer?.throwIfAborted();
  using deadline = startDeadline(clock, ms, outer);
  return await unlessAborted(deadline.signal, work(deadline.signal));
}

/** A context that begins no retry later than `ms` from now, nor later than the one it is made from. */
export function narrowed(context: CallContext, clock: Clock, ms: number): CallContext {
  return { signal: context.signal, giveUpAt: Math.min(context.giveUpAt, clock.now() + ms) };
}
