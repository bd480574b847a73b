import type { RotationResult } from "./core/result.ts";
import type { Stage } from "./errors.ts";
import type { Outcome, Reason } from "./events.ts";

/** One row of `rotate --json`. */
export interface RotateRow {
  readonly rotation: string;
  readonly outcome: Outcome;
  readonly reason: Reason;
  readonly stage?: Stage;
  readonly code?: string;
  readonly message?: string;
  readonly version?: string;
  /** ISO 8601, UTC. */
  readonly expiresOn?: string;
  readonly durationMs: number;
}

/** A result as it leaves the process: plain data, its error as code and text. */
export function rotateRow({
  rotation,
  outcome,
  reason,
  error,
  version,
  expiresOn,
  durationMs,
}: RotationResult): RotateRow {
  return {
    rotation,
    outcome,
    reason,
    ...(error?.stage === undefined ? {} : { stage: error.stage }),
    ...(error === undefined ? {} : { code: error.code, message: `${error.summary} ${error.remedy}` }),
    ...(version === undefined ? {} : { version }),
    ...(expiresOn === undefined ? {} : { expiresOn: expiresOn.toISOString() }),
    durationMs,
  };
}
