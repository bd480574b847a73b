/**
 * What will happen by itself, in the order of its times. Nothing sleeps: whoever looks says what time it is, and
 * everything that was due by then has happened before they see anything. So a virtual clock needs no help, and a run on it
 * replays exactly.
 */
export class Agenda {
  #events: { readonly at: number; readonly happen: (at: number) => void }[] = [];

  /** `at` in milliseconds since the epoch. Events of one time happen in the order in which they were put down. */
  add(at: number, happen: (at: number) => void): void {
    const index = this.#events.findIndex((event) => event.at > at);
    this.#events.splice(index < 0 ? this.#events.length : index, 0, { at, happen });
  }

  /** Lets everything happen that is due by `now`, also what comes of it. */
  pass(now: number): void {
    for (let next = this.#events[0]; next !== undefined && next.at <= now; next = this.#events[0]) {
      this.#events.shift();
      next.happen(next.at);
    }
  }
}
