import type { Fact, Stage } from "./errors.ts";

/**
 * Why a rotation acts, or why it does not. A closed list: `plan`, logs, telemetry and tests use these words and no
 * others.
 */
export const reasons = [
  // Reasons to mint.
  "SecretMissing",
  "SecretDisabled",
  "Expired",
  "NearingExpiry",
  "SpecChanged",
  "OutputsDiverged",
  "Forced",
  // Reasons to do nothing.
  "Fresh",
  "Paused",
  // Reasons for which nothing may be done.
  "Blocked",
  "ConfigurationInvalid",
  "StateUnknown",
] as const;
export type Reason = (typeof reasons)[number];

/** How a rotation ended in one tick. A closed list; each outcome is told by exactly one event. */
export const outcomes = {
  /** At least one output has a new version. */
  Rotated: "RotationSucceeded",
  /** Nothing was minted; a consumer that had fallen behind was brought up to date. */
  Propagated: "RotationSucceeded",
  /** The vault is up to date; a consumer's replicas are still being replaced by the platform. */
  RestartPending: "RotationSucceeded",
  /** Nothing was due. */
  Fresh: "RotationUnchanged",
  Paused: "RotationUnchanged",
  /** Renewal was due, but the source handed out the token that the vault already holds, and it lives long enough. */
  SourceUnchanged: "RotationUnchanged",
  /** The secret belongs to somebody else, or the configuration of this rotation is at fault. */
  Blocked: "RotationFailed",
  /** The new token speaks for another identity than the version it would replace. */
  SubjectChanged: "RotationFailed",
  /** The vault is up to date, but a consumer was not brought up to date. */
  RestartFailed: "RotationFailed",
  Failed: "RotationFailed",
  /** The tick's deadline came first; the next tick begins with what was left. */
  NotReached: "RotationFailed",
  /** The refresh token is no longer accepted: somebody must sign in. */
  SignInRequired: "SignInRequired",
} as const satisfies Record<string, EventName>;
export type Outcome = keyof typeof outcomes;

/** The health of one output, as `status` tells it. */
export const freshnessWords = [
  "fresh",
  "due",
  "stale",
  "expired",
  "missing",
  "blocked",
  "paused",
  "unknown",
] as const;
export type Freshness = (typeof freshnessWords)[number];

/** What a consumer is, compared with the newest version of the outputs that it takes. */
export const consumerStates = ["current", "behind", "restarting", "failed", "unknown"] as const;
export type ConsumerStateName = (typeof consumerStates)[number];

interface RotationFacts {
  rotation: string;
  outcome: Outcome;
  reason: Reason;
  /** Seconds until the earliest of the rotation's outputs expires; negative once it has; absent when there is none. */
  secondsToExpiry?: number;
  durationMs: number;
}

interface FailureFacts {
  stage: Stage;
  code: string;
}

/**
 * The telemetry contract. Names and properties are what alerts, the workbook and users' own queries depend on
 * (`docs/telemetry.md`); `operation` ties the events of one tick together and is added to each by the engine.
 */
export interface EventProperties {
  /** The heartbeat: a tick ran to its end, whatever became of its rotations. */
  TickCompleted: {
    rotations: number;
    due: number;
    rotated: number;
    unchanged: number;
    failed: number;
    notReached: number;
    durationMs: number;
    pastDue: boolean;
    version: string;
    /** Short hash of the configuration in force. */
    configuration: string;
  };
  /** The tick could not begin: the configuration file is unreadable or its top level is wrong. */
  TickFailed: FailureFacts & { durationMs: number; version: string };
  RotationSucceeded: RotationFacts;
  RotationUnchanged: RotationFacts;
  /** `attempt` counts the tries of the failing call within the tick. */
  RotationFailed: RotationFacts & FailureFacts & { attempt: number };
  SignInRequired: RotationFacts & FailureFacts & { command: string };
  /** `position` is 1 for the first fallback; `code` says why the first source did not mint. */
  FallbackUsed: { rotation: string; kind: string; position: number; code: string };
  ConsumerUpdated: {
    consumer: string;
    kind: string;
    state: ConsumerStateName;
    secrets: number;
    restarted: boolean;
    durationMs: number;
  };
  ConsumerFailed: FailureFacts & { consumer: string; kind: string; state: ConsumerStateName };
  /** A refresh token whose end is known is coming to it. */
  RefreshTokenExpiring: { rotation: string; secondsToExpiry: number };
  /** The vault answered 429 during the tick. */
  VaultThrottled: { vault: string; count: number };
}
export type EventName = keyof EventProperties;

export type TelemetryEvent = {
  [Name in EventName]: { readonly name: Name; readonly properties: Readonly<EventProperties[Name]> };
}[EventName];

/** Metrics, one series per output. */
export interface TelemetryMetric {
  /**
   * `SecondsToExpiry`: until the current version expires, negative once it has.
   * `SecretVersions`: how many versions the rotator has written under that name since the secret was made.
   */
  readonly name: "SecondsToExpiry" | "SecretVersions";
  readonly value: number;
  readonly properties: { readonly rotation: string; readonly output: string; readonly vault: string };
}

/** Proof for the compiler that every property is a plain fact: a wrapped secret cannot be put into an event. */
type OnlyFacts<T> = { [K in keyof T]: T[K] extends Fact | undefined ? T[K] : never };
type Checked<T extends { [Name in keyof T]: OnlyFacts<T[Name]> }> = T;
export type CheckedEventProperties = Checked<EventProperties>;
