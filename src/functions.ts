import { systemClock } from "./clock.ts";
import { compose } from "./compose.ts";
import { loadConfiguration } from "./config/load.ts";
import { isFailure } from "./core/result.ts";
import { asRotatorError, problems, RotatorError } from "./errors.ts";
import type { Rotator } from "./rotator.ts";
import type { Log } from "./telemetry/logTelemetry.ts";
import { createLogTelemetry } from "./telemetry/logTelemetry.ts";
import { version } from "./version.ts";

/** What a tick needs to know of the invocation that it runs in. */
export interface TickContext {
  /** The timer fired late, because nothing was running when it was due. */
  readonly pastDue: boolean;
  readonly invocationId: string;
  readonly log: Log;
}

export interface Health {
  readonly alive: true;
  /** ISO 8601, UTC; absent until this process has completed a tick. */
  readonly lastTick?: string;
}

const tickProblems = problems({
  RotationsFailed: {
    message: "At least one rotation failed; the others were carried out.",
    remedy: "The log lines before this one name each rotation, its stage, its code and the cure.",
    retryable: true,
  },
});

/**
 * Runs one tick. There is never more than one in this process: a call that comes while one is under way waits for that
 * one and ends as it does.
 *
 * @throws RotatorError when a rotation failed, after every rotation was tried; so the invocation fails too.
 */
export function runTick(context: TickContext): Promise<void> {
  if (running !== undefined) {
    context.log("warn", "A tick is still under way; this one waits for it and ends as it does.");
  }
  running ??= tick(context).finally(() => {
    running = undefined;
  });
  return running;
}

export function health(): Health {
  return lastTick === undefined ? { alive: true } : { alive: true, lastTick };
}

let running: Promise<void> | undefined;
let lastTick: string | undefined;

async function tick({ log, pastDue, invocationId }: TickContext): Promise<void> {
  const startedAt = systemClock.now();
  invocationLog = log;
  let rotator: Rotator;
  try {
    rotator = await loadRotator();
  } catch (thrown) {
    const error = asRotatorError(thrown, "configure");
    const durationMs = systemClock.now() - startedAt;
    const properties = { stage: "configure", code: error.code, durationMs, version } as const;
    telemetry.event({ name: "TickFailed", properties }, invocationId);
    log("error", explain(error));
    throw error;
  }
  const report = await rotator.tick({ pastDue });
  lastTick = new Date(systemClock.now()).toISOString();
  for (const { rotation, warnings } of report.rotations) {
    for (const warning of warnings) {
      log("warn", `${rotation}: ${explain(warning)}`);
    }
  }
  const failed = report.rotations.filter(({ outcome }) => isFailure(outcome));
  for (const { rotation, error } of failed) {
    log("error", `${rotation}: ${error === undefined ? "failed" : explain(error)}`);
  }
  if (failed.length > 0) {
    throw new RotatorError(tickProblems.RotationsFailed, { facts: { failed: failed.length } });
  }
}

/** Lines go to the invocation that is running; there is never more than one. */
let invocationLog: Log = () => {};
const telemetry = createLogTelemetry((level, line) => invocationLog(level, line));

let composed: Rotator | undefined;

/**
 * The file is read on every tick, so that a change takes effect without a restart. While it says the same, the rotator
 * and its clients are kept: new ones would pay for another challenge and another token.
 */
async function loadRotator(): Promise<Rotator> {
  const configuration = await loadConfiguration({ environment: process.env });
  if (composed === undefined || composed.configuration.hash !== configuration.hash) {
    composed = compose(configuration, { environment: process.env, telemetry });
  }
  return composed;
}

function explain(error: RotatorError): string {
  return `${error.code}: ${error.summary} ${error.remedy}`;
}
