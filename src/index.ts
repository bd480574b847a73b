import { systemClock } from "./clock.ts";
import { compose } from "./compose.ts";
import { loadConfiguration } from "./config/load.ts";
import type { Clock, Telemetry } from "./ports.ts";
import type { Rotator } from "./rotator.ts";
import { createLogTelemetry } from "./telemetry/logTelemetry.ts";

export interface RotatorOptions {
  /** Path of the configuration. Default: `ROTATIONS_FILE`, or `rotations.json` in the working directory. */
  readonly file?: string;
  /** Default: the process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: nothing is said. */
  readonly telemetry?: Telemetry;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/**
 * The rotator for a configuration: what the functions and the command line are made of.
 *
 * @throws RotatorError where the file cannot be read or its top level is wrong. A fault in one rotation does not throw: it
 * blocks that rotation (`configuration.problems` has all of them).
 */
export async function createRotator(options: RotatorOptions = {}): Promise<Rotator> {
  const {
    file,
    environment = process.env,
    telemetry = createLogTelemetry(() => {}),
    clock = systemClock,
  } = options;
  const configuration = await loadConfiguration({ environment, ...(file === undefined ? {} : { file }) });
  return compose(configuration, { environment, telemetry, clock });
}

export type { Configuration, RotationConfiguration } from "./config/configuration.ts";
export type { ConfigProblem } from "./config/problems.ts";
export type { RotationResult, TargetReport, TickReport } from "./core/result.ts";
export { isFailure } from "./core/result.ts";
export type { PlanRow, StatusRow } from "./core/survey.ts";
export type { Stage } from "./errors.ts";
export { RotatorError } from "./errors.ts";
export type {
  EventProperties,
  Freshness,
  Outcome,
  Reason,
  TelemetryEvent,
  TelemetryMetric,
} from "./events.ts";
export { outcomes, reasons } from "./events.ts";
export type { Clock, Telemetry } from "./ports.ts";
export type { RotateRow } from "./rotateRow.ts";
export { rotateRow } from "./rotateRow.ts";
export type { Rotator, SurveyRequest, TickRequest } from "./rotator.ts";
export { SecretValue } from "./secretValue.ts";
export type { MintFunction, ModuleContext, ModuleToken } from "./sources/moduleContract.ts";
export { createLogTelemetry } from "./telemetry/logTelemetry.ts";
