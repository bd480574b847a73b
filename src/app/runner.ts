import type { TickReport } from "../core/result.ts";
import { isFailure } from "../core/result.ts";
import type { Survey } from "../core/survey.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { Clock, Telemetry } from "../ports.ts";
import type { Rotator, TickRequest } from "../rotator.ts";
import { flushTelemetry } from "../rotator.ts";
import type { Log } from "../telemetry/logTelemetry.ts";
import { version } from "../version.ts";
import { History } from "./history.ts";

/** What a tick needs to know of the invocation that it runs in. */
export interface InvocationFacts {
  readonly invocationId: string;
  readonly log: Log;
  /** The W3C `traceparent` of the invocation, where the host gives one. */
  readonly traceParent?: string | undefined;
}

export interface TickContext extends InvocationFacts {
  /** The timer fired late, because nothing was running when it was due. */
  readonly pastDue: boolean;
}

/**
 * Of the process that answers, and of no other. On the Flex Consumption plan the timer and the HTTP functions run in
 * processes of their own: there, an answer over HTTP knows only the ticks that were asked for over HTTP. Whether the timer
 * runs is told by the heartbeat in telemetry, and whether rotation works by the vault.
 */
export interface Health {
  readonly alive: true;
  /** When this process completed a tick of all rotations: ISO 8601, UTC; absent until it has. */
  readonly lastTick?: string;
}

export interface RunnerOptions {
  readonly clock: Clock;
  /** Its lines go to the invocation that a tick runs in, and its events are part of it. */
  readonly telemetry: (log: Log, traceParent: () => string | undefined) => Telemetry;
  /** Gives the rotator of the configuration as it is now. Called for every tick and every look. */
  readonly load: (telemetry: Telemetry) => Promise<Rotator>;
}

export const runnerProblems = problems({
  RotationsFailed: {
    message: "At least one rotation failed; the others were carried out.",
    remedy: "The log lines before this one name each rotation, its stage, its code and the cure.",
    retryable: true,
  },
  TickRunning: {
    message: "A tick is under way in this process.",
    remedy: "Try again in a moment; what is due is being rotated already.",
    retryable: true,
  },
});

/** How long a look is shared after it is done, so that many who ask cost no more than one does. */
const sharedLookMs = 5_000;
/** Whoever looks is waiting for it, and Azure's front end gives up after 230 s. */
const lookDeadlineMs = 30_000;

interface Look {
  readonly survey: Promise<Survey>;
  /** Milliseconds since the epoch; absent while it is under way. */
  doneAt?: number;
}

/** What one process of the function app does: one tick at a time, for the timer or for somebody who asks over HTTP. */
export class Runner {
  readonly clock: Clock;
  readonly history = new History();
  readonly #load: () => Promise<Rotator>;
  readonly #telemetry: Telemetry;
  readonly #looks = new Map<string, Look>();
  #invocation: InvocationFacts = { invocationId: "", log: () => {} };
  #running: Promise<TickReport> | undefined;
  #lastTick: string | undefined;

  constructor({ clock, telemetry, load }: RunnerOptions) {
    this.clock = clock;
    // There is never more than one tick, so the invocation is the one that it runs in.
    this.#telemetry = telemetry(
      (level, line) => this.#invocation.log(level, line),
      () => this.#invocation.traceParent,
    );
    this.#load = () => load(this.#telemetry);
  }

  /**
   * The timer's tick, over all rotations. One that is under way is waited for first.
   * @throws RotatorError when a rotation failed, after every rotation was tried; so the invocation fails too.
   */
  async runTick({ pastDue, ...invocation }: TickContext): Promise<void> {
    while (this.#running !== undefined) {
      invocation.log("warn", "A tick is still under way; this one waits for it.");
      await this.#running.catch(() => {});
    }
    const { rotations } = await this.tickNow({ pastDue }, invocation);
    const failed = rotations.filter(({ outcome }) => isFailure(outcome)).length;
    if (failed > 0) {
      throw new RotatorError(runnerProblems.RotationsFailed, { facts: { failed } });
    }
  }

  /**
   * A tick that somebody asked for. Rotations that fail are in its report.
   * @throws RotatorError `TickRunning` where one is under way; `RotationUnknown`; what is wrong with the configuration.
   */
  async tickNow(request: TickRequest, invocation: InvocationFacts): Promise<TickReport> {
    if (this.#running !== undefined) {
      throw new RotatorError(runnerProblems.TickRunning);
    }
    this.#running = this.#tick(request, invocation);
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
      this.#looks.clear();
    }
  }

  /**
   * What a tick would find and decide, at most a few seconds ago; of one rotation, or of all.
   * @throws RotatorError `RotationUnknown`, `LookTooSlow`; what is wrong with the configuration.
   */
  async survey(name?: string): Promise<Survey> {
    const key = name ?? "";
    const known = this.#looks.get(key);
    if (known !== undefined && this.clock.now() - (known.doneAt ?? this.clock.now()) < sharedLookMs) {
      return await known.survey;
    }
    const look: Look = { survey: this.#survey(name) };
    this.#looks.set(key, look);
    try {
      const survey = await look.survey;
      look.doneAt = this.clock.now();
      return survey;
    } catch (error) {
      if (this.#looks.get(key) === look) {
        this.#looks.delete(key);
      }
      throw error;
    }
  }

  /** How often the timer is meant to fire, by the configuration. Milliseconds. */
  async tickMs(): Promise<number> {
    return (await this.#load()).configuration.tickMs;
  }

  health(): Health {
    return this.#lastTick === undefined ? { alive: true } : { alive: true, lastTick: this.#lastTick };
  }

  async #survey(name: string | undefined): Promise<Survey> {
    const rotator = await this.#load();
    const names = name === undefined ? {} : { names: [name] };
    return await rotator.survey({ deadlineMs: lookDeadlineMs, ...names });
  }

  async #tick(request: TickRequest, invocation: InvocationFacts): Promise<TickReport> {
    const startedAt = this.clock.now();
    const { log, invocationId } = invocation;
    this.#invocation = invocation;
    let rotator: Rotator;
    try {
      rotator = await this.#load();
    } catch (thrown) {
      const error = asRotatorError(thrown, "configure");
      const durationMs = this.clock.now() - startedAt;
      const properties = { stage: "configure", code: error.code, durationMs, version } as const;
      this.#telemetry.event({ name: "TickFailed", properties }, invocationId);
      log("error", explain(error));
      await flushTelemetry(this.#telemetry);
      throw error;
    }
    const report = await rotator.tick(request);
    const endedAt = this.clock.now();
    this.history.add(report, endedAt);
    if (request.names === undefined) {
      this.#lastTick = new Date(endedAt).toISOString();
    }
    for (const { rotation, warnings, outcome, error } of report.rotations) {
      for (const warning of warnings) {
        log("warn", `${rotation}: ${explain(warning)}`);
      }
      if (isFailure(outcome)) {
        log("error", `${rotation}: ${error === undefined ? "failed" : explain(error)}`);
      }
    }
    return report;
  }
}

function explain(error: RotatorError): string {
  return `${error.code}: ${error.summary} ${error.remedy}`;
}
