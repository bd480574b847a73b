import type { RotatorError } from "../errors.ts";
import { asRotatorError } from "../errors.ts";
import type { ConsumerStateName, Outcome, Reason } from "../events.ts";
import { outcomes } from "../events.ts";
import type { ConsumerReport } from "../ports.ts";
import type { SourceBinding } from "./rotation.ts";

export interface ConsumerResult {
  /** The target's resource id. */
  readonly name: string;
  readonly state: ConsumerStateName;
}

/** What became of one rotation in one tick. */
export interface RotationResult {
  readonly rotation: string;
  readonly outcome: Outcome;
  readonly reason: Reason;
  /** What went wrong, where something did; its stage is set. */
  readonly error?: RotatorError;
  /** Of the first output that was written. */
  readonly version?: string;
  /** Of the earliest output to expire. */
  readonly expiresOn?: Date;
  readonly durationMs: number;
  /** Present where a fallback minted. */
  readonly fallback?: {
    readonly kind: SourceBinding["kind"];
    readonly position: number;
    readonly code: string;
  };
  /** When somebody must have signed in again, where the source says that it is near. */
  readonly signInBy?: Date;
  readonly consumers: readonly ConsumerResult[];
  /** What went wrong beside the rotation itself (retiring old versions). */
  readonly warnings: readonly RotatorError[];
}

export interface TargetReport {
  readonly kind: string;
  readonly name: string;
  readonly report: ConsumerReport;
  readonly durationMs: number;
}

/** What became of a whole tick. */
export interface TickReport {
  readonly operation: string;
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly rotations: readonly RotationResult[];
  readonly targets: readonly TargetReport[];
}

/** Whether the outcome asks for somebody's attention: the invocation fails and the command exits with 1. */
export function isFailure(outcome: Outcome): boolean {
  return outcomes[outcome] === "RotationFailed" || outcomes[outcome] === "SignInRequired";
}

/**
 * The outcome of a rotation once its consumers have been served. A rotation that has failed on its own account stays
 * so; else the consumer that is worst off decides.
 */
export function withConsumers(result: RotationResult, targets: readonly TargetReport[]): RotationResult {
  const consumers = targets.map(({ name, report }) => ({ name, state: report.state }));
  if (isFailure(result.outcome) || result.outcome === "Paused") {
    return { ...result, consumers };
  }
  const failed = targets.find(({ report }) => report.state === "failed" || report.state === "unknown");
  if (failed !== undefined) {
    const { error } = failed.report;
    return {
      ...result,
      consumers,
      outcome: "RestartFailed",
      ...(error === undefined ? {} : { error: asRotatorError(error, "propagate") }),
    };
  }
  if (targets.some(({ report }) => report.state === "restarting" || report.state === "behind")) {
    return { ...result, consumers, outcome: "RestartPending" };
  }
  const served = targets.some(({ report }) => report.updated > 0 || report.restarted);
  return {
    ...result,
    consumers,
    outcome: served && result.outcome === "Fresh" ? "Propagated" : result.outcome,
  };
}
