/** What a function instance calls. */
export type Service = "identity" | "vault" | "provider" | "apps" | "leases";

/** One call to a service. */
export interface Call {
  readonly service: Service;
  /** `setSecret`, `getToken`, … */
  readonly operation: string;
  /** Whom it goes to: the address of a vault, the host of a provider, the id of an app. */
  readonly target: string;
  /** What it is about there, as far as calls of one operation run at the same time: the name of a secret, a scope. */
  readonly about?: string;
}

/**
 * How a service fails. `refuses`: 500, 502 or 503. `throttles`: 429. `unreachable`: no connection. `hangs`: no answer until
 * the caller gives up. `losesAnswers`: the call takes effect, and its answer is lost, or is the 504 of a gateway.
 */
export type Failure = "refuses" | "throttles" | "unreachable" | "hangs" | "losesAnswers";

/**
 * A stretch of time in which something is not as it should be. Times in milliseconds since the epoch. `operator`: a person
 * has done something to a rotation (its name is the target) that only a person can undo.
 */
export interface Outage {
  readonly what: Service | "timer" | "operator";
  /** Every one of the service where absent. */
  readonly target?: string;
  /** Absent where calls are answered and what stands behind them does not work: a cache that is stuck, an app that crashes. */
  readonly how?: Failure;
  /** The share of calls that fail; all of them where absent. */
  readonly share?: number;
  readonly from: number;
  readonly to: number;
}

/** Outages that are over are kept for so long: what a reader holds may have come to it, or not, during one. */
const keptMs = 30 * 60 * 60_000;

/** What is wrong at the moment. */
export class Faults {
  #outages: Outage[] = [];
  /** Those that are not over yet: every call asks for them. */
  #lasting: Outage[] = [];
  /** How many calls were made to fail, and how many outages began, by kind. */
  readonly injected = new Map<string, number>();

  begin(outage: Outage): void {
    this.#outages = this.#outages.filter(({ to }) => to > outage.from - keptMs);
    this.#outages.push(outage);
    this.#lasting = [...this.#lasting.filter(({ to }) => to > outage.from), outage];
    this.count(`outage: ${outage.what}${outage.how === undefined ? "" : ` ${outage.how}`}`);
  }

  count(kind: string): void {
    this.injected.set(kind, (this.injected.get(kind) ?? 0) + 1);
  }

  /** The failure that is in store for a call that is made now, if any. `chance` draws. */
  failureOf(call: Call, now: number, chance: (share: number) => boolean): Failure | undefined {
    for (const outage of this.#lasting) {
      if (
        outage.how !== undefined &&
        concerns(outage, call.service, call.target) &&
        outage.from <= now &&
        now < outage.to &&
        (outage.share === undefined || chance(outage.share))
      ) {
        return outage.how;
      }
    }
    return undefined;
  }

  /** Whether what stands behind the service does not work now, although calls are answered. */
  isStuck(what: Service, target: string, now: number): boolean {
    return this.#lasting.some(
      (outage) =>
        outage.how === undefined && concerns(outage, what, target) && outage.from <= now && now < outage.to,
    );
  }

  /** Whether an outage of the service, or of that target of it, touches this stretch of time. */
  touches(what: Outage["what"], target: string, from: number, to: number): boolean {
    // The newest ones are asked for most.
    for (let index = this.#outages.length - 1; index >= 0; index -= 1) {
      const outage = this.#outages[index] as Outage;
      if (from < outage.to && outage.from <= to && concerns(outage, what, target)) {
        return true;
      }
    }
    return false;
  }
}

function concerns(outage: Outage, what: Outage["what"], target: string): boolean {
  return outage.what === what && (outage.target === undefined || outage.target === target);
}
