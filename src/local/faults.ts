import type { OperationNames } from "./operationNames.ts";
import type { RequestRecord } from "./requestLog.ts";
import type { Reply } from "./service.ts";

/** What can go wrong with a call. Rules are independent: latencies and skews add up, of the others the first applies. */
export type Fault =
  /** The call waits that long, by the host's clock, before it takes effect. */
  | { readonly kind: "latency"; readonly ms: number }
  /** The call takes no effect and is answered like this. Without a body, the service's usual error body. */
  | {
      readonly kind: "answer";
      readonly status: number;
      /** Seconds, or a date as HTTP writes it. Absent: no `Retry-After`, as Key Vault's documentation allows. */
      readonly retryAfter?: number | string;
      readonly headers?: Readonly<Record<string, string>>;
      /** A string is sent as it is, so that an answer can be something other than JSON. */
      readonly body?: unknown;
    }
  /** The connection is cut before the call takes effect. */
  | { readonly kind: "reset" }
  /** The call takes effect; then the connection is cut or, with `status`, a gateway's error is answered. */
  | { readonly kind: "lostResponse"; readonly status?: 500 | 502 | 503 | 504 }
  /** The service's own clock is ahead by `ms` (behind where negative): token checks, timestamps, the `Date` header. */
  | { readonly kind: "clockSkew"; readonly ms: number };

/** Which calls something concerns. */
export interface CallFilter {
  /**
   * `keyvault.setSecret`, `keyvault.*` or `*`. A call that was refused for its token, as the first one of every Key Vault
   * client is, is no `keyvault.setSecret` but a `keyvault.challenge`, which `keyvault.*` includes.
   */
  readonly operation: string;
  /** Compared with the call's target (a secret's name, a resource), or any condition on the call. */
  readonly match?: string | RegExp | ((call: RequestRecord) => boolean);
  /** How many calls. Default: every one until removed. */
  readonly times?: number;
}

export type FaultRule = Fault & CallFilter;

export interface InjectedFault {
  /** How many calls it was applied to. */
  readonly applied: number;
  remove(): void;
}

/** A gate that calls wait at. */
export interface Hold {
  /** Resolves when so many calls (default 1) have come to the gate since it was put up. */
  arrived(count?: number): Promise<void>;
  /** Lets every waiting call go on, and takes the gate away. */
  release(): void;
}

/**
 * Called around the effect of every call, for what a rule cannot say. A test kills the client in there and returns
 * `drop`: from `beforeCall` the call takes no effect, from `afterEffect` its answer is lost.
 */
export interface CallHooks {
  beforeCall?(call: RequestRecord): Verdict | Promise<Verdict>;
  afterEffect?(call: RequestRecord, reply: Reply): Verdict | Promise<Verdict>;
}
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks on returns nothing.
export type Verdict = "drop" | void;

/** Faults that tests, demonstrations and simulations inject. */
export class Faults {
  readonly #operations: OperationNames;
  readonly #rules = new Set<ActiveRule>();
  readonly #gates = new Set<Gate>();
  readonly #hooks = new Set<CallHooks>();

  constructor(operations: OperationNames) {
    this.#operations = operations;
  }

  inject(rule: FaultRule): InjectedFault {
    const active: ActiveRule = { ...this.#filter(rule), fault: rule, applied: 0 };
    this.#rules.add(active);
    return {
      get applied() {
        return active.applied;
      },
      remove: () => void this.#rules.delete(active),
    };
  }

  /** Freezes matching calls, by default before they take effect, until released. */
  hold(filter: CallFilter & { readonly stage?: "beforeCall" | "afterEffect" }): Hold {
    const gate = new Gate(this.#filter(filter), filter.stage ?? "beforeCall");
    this.#gates.add(gate);
    return {
      arrived: (count = 1) => gate.arrived(count),
      release: () => {
        this.#gates.delete(gate);
        gate.open();
      },
    };
  }

  /** Returns what takes the hooks away. */
  onCall(hooks: CallHooks): () => void {
    this.#hooks.add(hooks);
    return () => void this.#hooks.delete(hooks);
  }

  /** Removes every rule, gate and hook; what waits goes on. */
  clear(): void {
    this.#rules.clear();
    this.#hooks.clear();
    for (const gate of this.#gates) {
      gate.open();
    }
    this.#gates.clear();
  }

  /** For the server: the skew of the service's clock during this call, in milliseconds. */
  skewMs(call: RequestRecord): number {
    return sum(this.#take(call, "clockSkew").map((fault) => fault.ms));
  }

  /** For the server: how long the call waits, in milliseconds. */
  latencyMs(call: RequestRecord): number {
    return sum(this.#take(call, "latency").map((fault) => fault.ms));
  }

  /** For the server: the one fault that decides how the call ends. */
  disruption(call: RequestRecord): Disruption | undefined {
    for (const rule of this.#rules) {
      const { fault } = rule;
      if (fault.kind !== "latency" && fault.kind !== "clockSkew" && rule.concerns(call)) {
        this.#spend(rule);
        return fault;
      }
    }
    return undefined;
  }

  /** For the server: runs the hooks of a stage, then waits at its gates. */
  async pass(
    stage: Gate["stage"],
    call: RequestRecord,
    signal: AbortSignal,
    reply?: Reply,
  ): Promise<Verdict> {
    for (const hooks of this.#hooks) {
      const verdict = await (stage === "beforeCall"
        ? hooks.beforeCall?.(call)
        : hooks.afterEffect?.(call, reply as Reply));
      if (verdict === "drop") {
        return "drop";
      }
    }
    for (const gate of this.#gates) {
      if (gate.stage === stage && gate.concerns(call)) {
        await gate.wait(signal);
      }
    }
  }

  #filter(filter: CallFilter): Filter {
    const named = this.#operations.matcher(filter.operation);
    const { match } = filter;
    return {
      left: filter.times ?? Number.POSITIVE_INFINITY,
      concerns: (call) => named(call.operation) && (match === undefined || matches(match, call)),
    };
  }

  #take<Kind extends Fault["kind"]>(call: RequestRecord, kind: Kind): Extract<Fault, { kind: Kind }>[] {
    const taken: Extract<Fault, { kind: Kind }>[] = [];
    for (const rule of this.#rules) {
      if (rule.fault.kind === kind && rule.concerns(call)) {
        this.#spend(rule);
        taken.push(rule.fault as Extract<Fault, { kind: Kind }>);
      }
    }
    return taken;
  }

  #spend(rule: ActiveRule): void {
    rule.applied += 1;
    rule.left -= 1;
    if (rule.left <= 0) {
      this.#rules.delete(rule);
    }
  }
}

export type Disruption = Exclude<Fault, { kind: "latency" | "clockSkew" }>;

interface Filter {
  left: number;
  concerns(call: RequestRecord): boolean;
}

interface ActiveRule extends Filter {
  readonly fault: Fault;
  applied: number;
}

class Gate {
  readonly stage: "beforeCall" | "afterEffect";
  readonly #filter: Filter;
  readonly #opened = Promise.withResolvers<void>();
  readonly #waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  #count = 0;

  constructor(filter: Filter, stage: "beforeCall" | "afterEffect") {
    this.#filter = filter;
    this.stage = stage;
  }

  concerns(call: RequestRecord): boolean {
    return this.#filter.left > 0 && this.#filter.concerns(call);
  }

  async wait(signal: AbortSignal): Promise<void> {
    this.#filter.left -= 1;
    this.#count += 1;
    for (const waiter of this.#waiters.filter(({ count }) => count <= this.#count)) {
      waiter.resolve();
    }
    const stopped = Promise.withResolvers<never>();
    const abort = () => stopped.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([this.#opened.promise, stopped.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  arrived(count: number): Promise<void> {
    if (this.#count >= count) {
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ count, resolve });
    return promise;
  }

  open(): void {
    this.#opened.resolve();
  }
}

function matches(match: NonNullable<CallFilter["match"]>, call: RequestRecord): boolean {
  if (typeof match === "function") {
    return match(call);
  }
  return typeof match === "string" ? match === call.target : match.test(call.target);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
