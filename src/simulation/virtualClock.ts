import type { Clock } from "../ports.ts";

interface Sleeper {
  readonly dueAt: number;
  /** Breaks ties: who fell asleep first wakes first. */
  readonly order: number;
  readonly wake: () => void;
  cancelled: boolean;
}

/**
 * A clock that moves only when it is told to. Sleepers wake one by one, in the order of their times, and everything that
 * a woken sleeper sets off without waiting for input or output has run before the next one wakes; so equal runs take equal
 * courses.
 */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  #sleeping = 0;
  /** A binary heap by `dueAt`, then `order`. */
  readonly #heap: Sleeper[] = [];
  readonly #later: (resume: () => void) => void;
  #onSleeper: (() => void) | undefined;

  /**
   * @param later Calls back when all has run that needs no time. By default an immediate: the queues of promises and of
   * ticks are empty before it runs, and the event loop has turned. Where nobody waits for input, output or another thread,
   * `process.nextTick` does as well, and costs a fraction.
   */
  constructor(
    startAt: Date | number = Date.UTC(2026, 0, 1),
    later: (resume: () => void) => void = setImmediate,
  ) {
    this.#now = Number(startAt);
    this.#later = later;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const abort = () => {
        sleeper.cancelled = true;
        this.#sleeping -= 1;
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        dueAt: this.#now + Math.max(0, ms),
        order: this.#order++,
        wake: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
        cancelled: false,
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#sleeping += 1;
      push(this.#heap, sleeper);
      this.#onSleeper?.();
    });
  }

  /** How many sleepers there are. */
  get sleeping(): number {
    return this.#sleeping;
  }

  /** When the next sleeper is due; `undefined` when nobody sleeps. */
  get nextDueAt(): number | undefined {
    while (this.#heap[0]?.cancelled) {
      pop(this.#heap);
    }
    return this.#heap[0]?.dueAt;
  }

  /** Lets everything run that needs no time to pass. */
  settle(): Promise<void> {
    return new Promise((resolve) => this.#later(resolve));
  }

  /** Lets `ms` pass, with every sleeper that is due by then. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await this.settle();
    for (let dueAt = this.nextDueAt; dueAt !== undefined && dueAt <= until; dueAt = this.nextDueAt) {
      await this.#wakeNext();
    }
    this.#now = until;
    await this.settle();
  }

  /** Sets the time without waking anybody, as somebody who corrects a wrong clock does. Also backwards. */
  set(now: Date | number): void {
    this.#now = Number(now);
  }

  /**
   * Lets time pass from sleeper to sleeper until `work` is done, and gives its result. Where nobody sleeps it waits for
   * input and output; where somebody does, time passes although others wait for theirs, so a sleep that stands for a
   * timeout comes at once.
   */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const end = work.then(
      () => {
        done = true;
      },
      () => {
        done = true;
      },
    );
    await this.settle();
    while (!done) {
      if (this.nextDueAt === undefined) {
        const sleeper = new Promise<void>((resolve) => {
          this.#onSleeper = resolve;
        });
        await Promise.race([end, sleeper]);
        await this.settle();
      } else {
        await this.#wakeNext();
      }
    }
    return work;
  }

  async #wakeNext(): Promise<void> {
    const next = pop(this.#heap);
    if (next === undefined || next.cancelled) {
      return;
    }
    this.#sleeping -= 1;
    // A sleeper that is overdue because the clock was set forward does not turn it back.
    this.#now = Math.max(this.#now, next.dueAt);
    next.wake();
    await this.settle();
  }
}

function isBefore(a: Sleeper, b: Sleeper): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);
}

function push(heap: Sleeper[], sleeper: Sleeper): void {
  let index = heap.length;
  heap.push(sleeper);
  while (index > 0) {
    const parentIndex = (index - 1) >> 1;
    const parent = heap[parentIndex] as Sleeper;
    if (!isBefore(sleeper, parent)) {
      break;
    }
    heap[index] = parent;
    index = parentIndex;
  }
  heap[index] = sleeper;
}

function pop(heap: Sleeper[]): Sleeper | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) {
    return first;
  }
  let index = 0;
  for (;;) {
    let childIndex = 2 * index + 1;
    if (childIndex >= heap.length) {
      break;
    }
    const right = heap[childIndex + 1];
    if (right !== undefined && isBefore(right, heap[childIndex] as Sleeper)) {
      childIndex += 1;
    }
    const child = heap[childIndex] as Sleeper;
    if (!isBefore(child, last)) {
      break;
    }
    heap[index] = child;
    index = childIndex;
  }
  heap[index] = last;
  return first;
}
