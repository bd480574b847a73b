import { throttled } from "./vaultRefusals.ts";

/** Calls that a vault takes in any 10 seconds. The published limits: 300 creates, 4,000 others. */
export interface VaultLimits {
  readonly creates: number;
  readonly others: number;
}

export const publishedVaultLimits: VaultLimits = { creates: 300, others: 4000 };

const windowMs = 10_000;

/** Key Vault's limits over a sliding window. A call that was refused does not count, as the documentation says. */
export class VaultThrottle {
  readonly #limits: VaultLimits;
  readonly #admitted = { creates: new Window(), others: new Window() };

  constructor(limits: VaultLimits) {
    this.#limits = limits;
  }

  /** @throws Refusal 429 without `Retry-After`, which the documentation does not promise. */
  admit(kind: keyof VaultLimits, now: number): void {
    if (this.#admitted[kind].count(now) >= this.#limits[kind]) {
      throw throttled();
    }
    this.#admitted[kind].add(now);
  }
}

/** Times within the last window; a queue whose head moves, because shifting thousands of elements is slow. */
class Window {
  #times: number[] = [];
  #head = 0;

  add(now: number): void {
    this.#times.push(now);
  }

  count(now: number): number {
    while (this.#head < this.#times.length && (this.#times[this.#head] as number) <= now - windowMs) {
      this.#head += 1;
    }
    if (this.#head > 10_000) {
      this.#times = this.#times.slice(this.#head);
      this.#head = 0;
    }
    return this.#times.length - this.#head;
  }
}
