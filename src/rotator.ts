import type { Configuration } from "./config/configuration.ts";
import { unlessAborted } from "./core/deadline.ts";
import type { Engine } from "./core/engine.ts";
import { runTick } from "./core/engine.ts";
import { markPaused } from "./core/pause.ts";
import type { TickReport } from "./core/result.ts";
import type { Rotation } from "./core/rotation.ts";
import type { PlanRow, StatusRow, Survey } from "./core/survey.ts";
import { planRows, statusRows, survey } from "./core/survey.ts";
import type { Telemetry } from "./ports.ts";
import { rotationsNamed } from "./rotationsNamed.ts";

export interface TickRequest {
  /** Only these rotations; all of them where absent. */
  readonly names?: readonly string[];
  /** Mint although nothing is due. Default false. */
  readonly force?: boolean;
  /** Publish a token that speaks for another identity than the version it replaces. Default false. */
  readonly acceptSubject?: boolean;
  /** The timer fired late. Default false. */
  readonly pastDue?: boolean;
  /** Milliseconds until what is left is reported as `NotReached`. Default 4 minutes, below the function's timeout. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** Names and an end: what a look at the rotations takes. */
export type SurveyRequest = Pick<TickRequest, "names" | "force" | "deadlineMs" | "signal">;

const defaultDeadlineMs = 4 * 60_000;
/** How long telemetry may keep a tick from ending. */
const flushMs = 5_000;

/** Sends what a tick has said. What becomes of it changes nothing: the work is done, or has failed already. */
export async function flushTelemetry(telemetry: Telemetry): Promise<void> {
  const signal = AbortSignal.timeout(flushMs);
  const flush = async () => telemetry.flush(signal);
  await unlessAborted(signal, flush()).catch(() => {});
}

/** The product as a library: what the functions and the command line are made of. */
export class Rotator {
  readonly configuration: Configuration;
  readonly #engine: Engine;
  readonly #rotations: readonly Rotation[];

  /** Use `createRotator`: it resolves the configuration and joins it with the adapters. */
  constructor(configuration: Configuration, engine: Engine, rotations: readonly Rotation[]) {
    this.configuration = configuration;
    this.#engine = engine;
    this.#rotations = rotations;
  }

  /**
   * One tick: gather, decide, act, report. It does not throw for a rotation that fails; that is in the report.
   * @throws RotatorError `RotationUnknown` where a name is not in the configuration.
   */
  async tick(request: TickRequest = {}): Promise<TickReport> {
    const { names, deadlineMs = defaultDeadlineMs, ...options } = request;
    const rotations = this.#named(names);
    const partial = rotations !== this.#rotations;
    const report = await runTick(this.#engine, rotations, { deadlineMs, partial, ...options });
    await flushTelemetry(this.#engine.telemetry);
    return report;
  }

  /** Exactly what a tick would do at this moment. */
  async plan(request: SurveyRequest = {}): Promise<PlanRow[]> {
    return planRows(await this.survey(request));
  }

  /** How fresh every output is, why it is not, and when it will be renewed. */
  async status(request: SurveyRequest = {}): Promise<StatusRow[]> {
    return statusRows(await this.survey(request));
  }

  /** What `plan` and `status` are made of, for whoever needs both of one moment. */
  async survey({ names, deadlineMs = defaultDeadlineMs, ...options }: SurveyRequest = {}): Promise<Survey> {
    return await survey(this.#engine, this.#named(names), { deadlineMs, ...options });
  }

  /**
   * Leaves a rotation alone until that moment, or until it is resumed.
   * @returns the names of the secrets that carry the mark.
   */
  async pause(name: string, until?: Date): Promise<string[]> {
    return await this.#mark(name, until);
  }

  async resume(name: string): Promise<string[]> {
    return await this.#mark(name, null);
  }

  async #mark(name: string, until: Date | undefined | null): Promise<string[]> {
    const { clock, retryBudgetMs, storeOf } = this.#engine;
    const context = { signal: new AbortController().signal, giveUpAt: clock.now() + retryBudgetMs };
    const [rotation] = this.#named([name]);
    return await markPaused(rotation as Rotation, until, storeOf, context);
  }

  #named(names: readonly string[] | undefined): readonly Rotation[] {
    return rotationsNamed(this.#rotations, names);
  }
}
