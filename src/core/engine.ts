import type { CallContext, Clock, SecretState, SecretStore, Telemetry } from "../ports.ts";
import { startDeadline, unlessAborted } from "./deadline.ts";
import type { Decision } from "./decide.ts";
import { decide } from "./decide.ts";
import { gather } from "./gather.ts";
import { type Minted, TickMint } from "./mint.ts";
import type { Target } from "./propagate.ts";
import { reconcile, targetsOf, wantedOf } from "./propagate.ts";
import type { Written } from "./publish.ts";
import { publish } from "./publish.ts";
import { concurrencyLimit } from "./rateLimit.ts";
import { reportTick } from "./report.ts";
import type { RotationResult, TargetReport, TickReport } from "./result.ts";
import { withConsumers } from "./result.ts";
import { retireSuperseded } from "./retire.ts";
import type { Rotation } from "./rotation.ts";
import { outputKey } from "./rotation.ts";
import {
  blockedResult,
  consumersNotReached,
  failedResult,
  notReachedResult,
  rotatedResult,
  unchangedResult,
} from "./rotationResult.ts";

export interface Engine {
  readonly clock: Clock;
  /** The same store for the same vault, for the life of the process. */
  readonly storeOf: (vault: string) => SecretStore;
  readonly telemetry: Telemetry;
  /** How often each vault has answered 429 since this was last asked; vaults that have not are left out. */
  readonly takeThrottled: () => readonly { readonly vault: string; readonly count: number }[];
  /** A fresh operation id, unique across processes. */
  readonly newOperation: () => string;
  /** For the heartbeat: the product's version and the configuration's hash. */
  readonly version: string;
  readonly configuration: string;
  /** How long a failing call is retried within a tick, in milliseconds. */
  readonly retryBudgetMs: number;
}

export interface TickOptions {
  /** Milliseconds after which what is left is reported as not reached. Below the function's timeout. */
  readonly deadlineMs: number;
  /** Mint although nothing is due. */
  readonly force?: boolean;
  /** Publish a token that speaks for another identity than the version it replaces. */
  readonly acceptSubject?: boolean;
  /** The timer fired late. */
  readonly pastDue?: boolean;
  /** Only some rotations were asked for. Such a tick is no heartbeat: the others may have been silent for hours. */
  readonly partial?: boolean;
  readonly signal?: AbortSignal;
}

/** How many sources are asked at the same time. */
const concurrentMints = 32;

/**
 * One tick over these rotations: gather, decide, act, report. It never throws: what fails is in the report, and a
 * rotation that fails stops no other.
 */
export async function runTick(
  engine: Engine,
  rotations: readonly Rotation[],
  options: TickOptions,
): Promise<TickReport> {
  const { clock } = engine;
  const startedAt = clock.now();
  using deadline = startDeadline(clock, options.deadlineMs, options.signal);
  const tick = new Tick(engine, rotations, options, deadline.signal, startedAt + options.deadlineMs);
  const { results, targets } = await tick.run();
  const report: TickReport = {
    operation: tick.operation,
    startedAt: new Date(startedAt),
    durationMs: clock.now() - startedAt,
    rotations: results,
    targets,
  };
  reportTick(engine, report, tick.states, rotations, options);
  return report;
}

class Tick {
  readonly operation: string;
  /** What the vaults hold, kept up to date with what this tick writes. */
  states = new Map<string, SecretState>();
  readonly #engine: Engine;
  readonly #rotations: readonly Rotation[];
  readonly #options: TickOptions;
  readonly #signal: AbortSignal;
  readonly #endsAt: number;
  readonly #written = new Map<string, Written>();

  constructor(
    engine: Engine,
    rotations: readonly Rotation[],
    options: TickOptions,
    signal: AbortSignal,
    endsAt: number,
  ) {
    this.operation = engine.newOperation();
    this.#engine = engine;
    this.#rotations = rotations;
    this.#options = options;
    this.#signal = signal;
    this.#endsAt = endsAt;
  }

  async run(): Promise<{ results: RotationResult[]; targets: TargetReport[] }> {
    const { clock, storeOf } = this.#engine;
    const startedAt = clock.now();
    try {
      this.states = await unlessAborted(this.#signal, gather(this.#rotations, storeOf, this.#context()));
    } catch {
      // Only an aborted signal ends up here.
      const results = this.#rotations.map((rotation) =>
        notReachedResult(rotation, undefined, clock.now() - startedAt),
      );
      return { results, targets: [] };
    }
    const due: (readonly [Rotation, Decision])[] = [];
    const running = new Map<Rotation, RotationResult | Promise<RotationResult>>();
    for (const rotation of this.#rotations) {
      const decision = decide(rotation, this.states, clock.now(), { force: this.#forced });
      if (decision.action === "rotate") {
        due.push([rotation, decision]);
      } else {
        // Nothing of an idle rotation is kept but its result, and of most ticks most rotations are idle.
        running.set(rotation, idleResult(rotation, decision));
      }
    }
    const mint = new TickMint(due, { clock, limit: concurrencyLimit(concurrentMints) });
    for (const [rotation, decision] of due.toSorted(([, a], [, b]) => urgency(a) - urgency(b))) {
      running.set(rotation, this.#rotate(rotation, decision, mint));
    }
    const served = await Promise.all(
      targetsOf(this.#rotations).map(async (target) => ({
        target,
        report: await this.#serve(target, running),
      })),
    );
    const results: RotationResult[] = [];
    for (const rotation of this.#rotations) {
      const result = (await running.get(rotation)) as RotationResult;
      results.push(rotation.consumers.length === 0 ? result : withServed(rotation, result, served));
    }
    return { results, targets: served.flatMap(({ report }) => report ?? []) };
  }

  /** Never rejects. */
  async #rotate(rotation: Rotation, decision: Decision, mint: TickMint): Promise<RotationResult> {
    const startedAt = this.#engine.clock.now();
    const took = () => this.#engine.clock.now() - startedAt;
    let minted: Minted | undefined;
    try {
      minted = await unlessAborted(this.#signal, mint.mint(rotation, this.#forced, this.#context()));
      return await unlessAborted(this.#signal, this.#publish(rotation, decision, minted, took));
    } catch (error) {
      return this.#signal.aborted
        ? notReachedResult(rotation, decision, took())
        : failedResult(rotation, decision, error, { durationMs: took(), minted });
    }
  }

  async #publish(
    rotation: Rotation,
    decision: Decision,
    minted: Minted,
    took: () => number,
  ): Promise<RotationResult> {
    const publication = await publish(
      rotation,
      decision,
      minted.token,
      {
        operation: this.operation,
        acceptSubject: this.#options.acceptSubject ?? false,
        storeOf: this.#engine.storeOf,
        clock: this.#engine.clock,
      },
      this.#context(),
    );
    for (const written of publication.written) {
      this.#written.set(outputKey(written.output), written);
      this.states.set(outputKey(written.output), { kind: "present", properties: written.properties });
    }
    const warnings = await this.#retire(rotation, publication.written);
    return rotatedResult(rotation, decision, minted, publication, {
      now: this.#engine.clock.now(),
      durationMs: took(),
      warnings,
      states: this.states,
    });
  }

  async #retire(rotation: Rotation, written: readonly Written[]): Promise<unknown[]> {
    const { retire } = rotation;
    if (retire === undefined) {
      return [];
    }
    const { clock, storeOf } = this.#engine;
    const attempts = await Promise.allSettled(
      written.map(({ output }) =>
        retireSuperseded(output, rotation.name, retire, storeOf(output.vault), clock.now(), this.#context()),
      ),
    );
    return attempts.flatMap((attempt) => (attempt.status === "rejected" ? [attempt.reason] : []));
  }

  /** Waits for the rotations that feed the target, and for no others. `undefined` where time was up. */
  async #serve(
    target: Target,
    running: ReadonlyMap<Rotation, RotationResult | Promise<RotationResult>>,
  ): Promise<TargetReport | undefined> {
    const { clock, storeOf } = this.#engine;
    const results = await Promise.all(target.bindings.map(({ rotation }) => running.get(rotation)));
    const active = {
      ...target,
      bindings: target.bindings.filter((_, index) => results[index]?.outcome !== "Paused"),
    };
    const startedAt = clock.now();
    const wanted = wantedOf(active, this.states, this.#written, storeOf);
    try {
      const report = await unlessAborted(this.#signal, reconcile(active, wanted, this.#context()));
      const { kind, target: name } = target.consumer;
      return { kind, name, report, durationMs: clock.now() - startedAt };
    } catch {
      return undefined;
    }
  }

  get #forced(): boolean {
    return this.#options.force ?? false;
  }

  #context(): CallContext {
    const { clock, retryBudgetMs } = this.#engine;
    return { signal: this.#signal, giveUpAt: Math.min(this.#endsAt, clock.now() + retryBudgetMs) };
  }
}

/** The result of a rotation for which nothing is or may be done. */
function idleResult(rotation: Rotation, decision: Decision): RotationResult {
  return decision.action === "blocked"
    ? blockedResult(rotation, decision, 0)
    : unchangedResult(rotation, decision, decision.reason === "Paused" ? "Paused" : "Fresh", 0);
}

/** What the consumers that the rotation feeds make of its result; `report` is absent where time was up. */
function withServed(
  rotation: Rotation,
  result: RotationResult,
  served: readonly { readonly target: Target; readonly report: TargetReport | undefined }[],
): RotationResult {
  const own = served.filter(({ target }) => target.bindings.some((binding) => binding.rotation === rotation));
  const reports = own.flatMap(({ report }) => report ?? []);
  const told = withConsumers(result, reports);
  return reports.length === own.length ? told : consumersNotReached(told);
}

/** Those nearest to their expiry go first, so that a deadline cuts what can wait. */
function urgency(decision: Decision): number {
  return Math.min(
    ...decision.outputs.map(({ state }) =>
      state.kind === "present" && state.properties.enabled ? (state.properties.expiresOn?.getTime() ?? 0) : 0,
    ),
  );
}
