import type { Clock } from "../ports.ts";
import type { Call, Failure } from "./faults.ts";
import type { World } from "./world.ts";

/** What a caller gets in place of an answer. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  /** HTTP status, where something answered. */
  readonly status: number | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** As the network libraries name it, where nothing did. */
  readonly code: string | undefined;

  constructor(details: { status?: number; retryAfterSeconds?: number; code?: string }) {
    super(details.code ?? `HTTP ${details.status}`);
    this.status = details.status;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.code = details.code;
  }
}

/** Where a process is to die: at its so-manieth call from now, before the call takes effect or after. */
export interface Kill {
  readonly call: number;
  readonly when: "before" | "after";
}

/** A call that hangs is given up by the caller's library. */
const hangMs = 10_000;

/**
 * One process of the function app: its clock, its way to the services, and its end. A process that is killed does nothing
 * any more: whatever it waits for never comes, and all that it had in memory is gone.
 */
export class Instance {
  readonly clock: Clock;
  /** Resolves when the process is killed. */
  readonly end: Promise<void>;
  /** How far its clock is ahead of the true time, in milliseconds. */
  readonly skewMs: number;
  readonly #world: World;
  readonly #kill: () => void;
  #endedAt: number | undefined;
  #calls = 0;
  #killAt: Kill | undefined;

  constructor(world: World, skewMs: number) {
    this.#world = world;
    this.skewMs = skewMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.end = promise;
    this.#kill = resolve;
    this.clock = {
      now: () => world.clock.now() + skewMs,
      sleep: (ms, signal) => this.#unlessDead(world.clock.sleep(ms, signal)),
    };
  }

  /** When it was killed; `undefined` while it lives. */
  get endedAt(): number | undefined {
    return this.#endedAt;
  }

  /** How many calls it has made. */
  get calls(): number {
    return this.#calls;
  }

  kill(): void {
    this.#endedAt ??= this.#world.clock.now();
    this.#kill();
  }

  killAt(kill: Kill | undefined): void {
    this.#killAt = kill === undefined ? undefined : { ...kill, call: this.#calls + kill.call };
  }

  /**
   * Makes one call: it takes time, it may fail in every way that a call over a network can, and the process may die on it.
   *
   * @param effect What the service does, at the moment when the call arrives; it may throw the service's own refusal.
   * @param delivered Told when the answer has come.
   * @throws NoAnswer
   */
  async call<T>(call: Call, effect: () => T, delivered: () => void = () => {}): Promise<T> {
    const world = this.#world;
    if (this.#endedAt !== undefined) {
      return await never();
    }
    this.#calls += 1;
    world.counter.count(call);
    const dies = this.#killAt?.call === this.#calls ? this.#killAt.when : undefined;
    if (dies === "before") {
      return await this.#die();
    }
    const thereMs = world.latencyMs();
    if (thereMs > 0) {
      await this.clock.sleep(thereMs);
    }
    const failure = world.failureOf(call);
    if (failure !== undefined && failure !== "losesAnswers") {
      return await this.#fail(failure);
    }
    const answer = effect();
    if (dies === "after") {
      return await this.#die();
    }
    if (failure === "losesAnswers") {
      // Lost on the way, or by a gateway that says so: a 5xx does not mean that nothing was done.
      throw new NoAnswer(world.random.chance(0.5) ? { status: 504 } : { code: "ECONNRESET" });
    }
    const backMs = world.latencyMs();
    if (backMs > 0) {
      await this.clock.sleep(backMs);
    }
    delivered();
    return answer;
  }

  async #fail(failure: Exclude<Failure, "losesAnswers">): Promise<never> {
    switch (failure) {
      case "refuses":
        throw new NoAnswer({ status: this.#world.random.pick([500, 502, 503]) });
      case "throttles":
        // Half of them tell how long to wait.
        throw new NoAnswer({
          status: 429,
          ...(this.#world.random.chance(0.5) ? { retryAfterSeconds: this.#world.random.integer(1, 10) } : {}),
        });
      case "unreachable":
        throw new NoAnswer({ code: "ECONNREFUSED" });
      case "hangs":
        await this.clock.sleep(hangMs);
        throw new NoAnswer({ code: "ETIMEDOUT" });
    }
  }

  async #die(): Promise<never> {
    this.kill();
    return await never();
  }

  #unlessDead(sleep: Promise<void>): Promise<void> {
    return sleep.then(
      () => (this.#endedAt === undefined ? undefined : never()),
      (error: unknown) => {
        if (this.#endedAt !== undefined) {
          return never();
        }
        throw error;
      },
    );
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
