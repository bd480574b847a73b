import type { Stage } from "../errors.ts";
import type {
  ConsumerStateName,
  EventName,
  EventProperties,
  Outcome,
  Reason,
  TelemetryMetric,
} from "../events.ts";

/*
 * What every event and metric says, in words: `docs/telemetry.md` is written from these tables by
 * `node scripts/telemetryDoc.ts`. The compiler compares them with `events.ts`, so that nothing is left out or said wrongly.
 */

/** Any property, as far as the documentation is concerned. */
export interface PropertyDescription {
  /** Numbers are the event's measurements in Application Insights, text and booleans its properties. */
  readonly type: "text" | "number" | "boolean";
  readonly meaning: string;
  /** It is left out where it is not known. */
  readonly optional?: true;
}

export interface EventDescription {
  readonly when: string;
  readonly properties: Readonly<Record<string, PropertyDescription>>;
}

type TypeOf<Value> = Value extends number ? "number" : Value extends boolean ? "boolean" : "text";

type PropertyOf<Value> = {
  readonly type: TypeOf<NonNullable<Value>>;
  readonly meaning: string;
} & (undefined extends Value ? { readonly optional: true } : { readonly optional?: never });

type PropertiesOf<Properties> = { readonly [Key in keyof Properties]-?: PropertyOf<Properties[Key]> };

type EventContract = {
  readonly [Name in EventName]: {
    readonly when: string;
    readonly properties: PropertiesOf<EventProperties[Name]>;
  };
};

const durationMs = { type: "number", meaning: "How long it took, in milliseconds." } as const;
const version = { type: "text", meaning: "Version of the rotator." } as const;
const consumer = { type: "text", meaning: "The target: resource id of the Container App or job." } as const;

const rotationFacts = {
  rotation: { type: "text", meaning: "Name of the rotation in `rotations.json`." },
  outcome: { type: "text", meaning: "How the rotation ended; see [outcomes](#outcomes)." },
  reason: { type: "text", meaning: "Why it acted, or why it did not; see [reasons](#reasons)." },
  secondsToExpiry: {
    type: "number",
    meaning: "Until the first of its outputs expires; negative once it has, absent while there is none.",
    optional: true,
  },
  durationMs,
} as const;

const failureFacts = {
  stage: { type: "text", meaning: "Where in the tick it failed; see [stages](#stages)." },
  code: { type: "text", meaning: "What went wrong: the stable code that the log explains with its cure." },
} as const;

export const eventContract: EventContract = {
  TickCompleted: {
    when: "The heartbeat: a tick ran to its end, whatever became of its rotations. The last event of every tick over all rotations; a tick of single ones, asked for by name, has none.",
    properties: {
      rotations: { type: "number", meaning: "Rotations that the tick was about." },
      due: { type: "number", meaning: "Those that had a reason to mint." },
      rotated: { type: "number", meaning: "Those that ended in `RotationSucceeded`." },
      unchanged: { type: "number", meaning: "Those that ended in `RotationUnchanged`." },
      failed: { type: "number", meaning: "Those that failed or wait for a sign-in." },
      notReached: { type: "number", meaning: "Those that the tick had no time for." },
      durationMs,
      pastDue: { type: "boolean", meaning: "The timer fired late: nothing was running when it was due." },
      version,
      configuration: { type: "text", meaning: "Short hash of the configuration in force." },
    },
  },
  TickFailed: {
    when: "A tick could not begin: the configuration is unreadable or its top level is wrong. No rotation was looked at.",
    properties: { ...failureFacts, durationMs, version },
  },
  RotationSucceeded: {
    when: "A rotation published a new version, or brought a consumer up to date.",
    properties: rotationFacts,
  },
  RotationUnchanged: {
    when: "There was nothing to do, or nothing new to be had.",
    properties: rotationFacts,
  },
  RotationFailed: {
    when: "A rotation failed, or may not be carried out. The last good version is still in the vault.",
    properties: {
      ...rotationFacts,
      ...failureFacts,
      attempt: { type: "number", meaning: "Tries of the failing call within the tick." },
    },
  },
  SignInRequired: {
    when: "The provider no longer takes the refresh token, so only a person can go on. Repeated by every tick until then.",
    properties: {
      ...rotationFacts,
      ...failureFacts,
      command: { type: "text", meaning: "What to run to sign in." },
    },
  },
  FallbackUsed: {
    when: "The first source of a rotation did not mint, and a later one did. Beside the rotation's own event.",
    properties: {
      rotation: rotationFacts.rotation,
      kind: { type: "text", meaning: "Kind of the source that minted." },
      position: { type: "number", meaning: "1 for the first fallback." },
      code: { type: "text", meaning: "Why the first source did not mint." },
    },
  },
  ConsumerUpdated: {
    when: "A consumer was given new secrets or restarted.",
    properties: {
      consumer,
      kind: { type: "text", meaning: "Kind of the consumer." },
      state: { type: "text", meaning: "What it is now; see [states of a consumer](#states-of-a-consumer)." },
      secrets: { type: "number", meaning: "Secrets that were written there." },
      restarted: { type: "boolean", meaning: "Whether its replicas were restarted." },
      durationMs,
    },
  },
  ConsumerFailed: {
    when: "A consumer could not be brought up to date. The vault holds the new version.",
    properties: {
      consumer,
      kind: { type: "text", meaning: "Kind of the consumer." },
      state: { type: "text", meaning: "What it is now; see [states of a consumer](#states-of-a-consumer)." },
      ...failureFacts,
    },
  },
  RefreshTokenExpiring: {
    when: "A refresh token whose end is known is coming to it. Beside the rotation's own event.",
    properties: {
      rotation: rotationFacts.rotation,
      secondsToExpiry: { type: "number", meaning: "Until the refresh token ends." },
    },
  },
  VaultThrottled: {
    when: "A vault answered 429 during the tick.",
    properties: {
      vault: { type: "text", meaning: "Address of the vault." },
      count: { type: "number", meaning: "How many of those answers." },
    },
  },
};

export const metricContract: { readonly [Name in TelemetryMetric["name"]]: string } = {
  SecondsToExpiry:
    "Seconds until the current version of the output expires. In Application Insights 0 once it has: the package sends metrics as histograms, which hold nothing negative.",
  SecretVersions:
    "How many versions the rotator has written under the secret's name since the secret was made.",
};

export const metricProperties: PropertiesOf<TelemetryMetric["properties"]> = {
  rotation: { type: "text", meaning: "Name of the rotation in `rotations.json`." },
  output: { type: "text", meaning: "Name of the secret." },
  vault: { type: "text", meaning: "Address of the vault." },
};

export const outcomeMeanings: { readonly [Name in Outcome]: string } = {
  Rotated: "At least one output has a new version.",
  Propagated: "Nothing was minted; a consumer that had fallen behind was brought up to date.",
  RestartPending: "The vault is up to date; the platform is still replacing a consumer's replicas.",
  Fresh: "Nothing was due.",
  Paused: "Somebody paused it.",
  SourceUnchanged:
    "Renewal was due; the source handed out the token that the vault holds, which lives long enough.",
  Blocked: "The secret belongs to somebody else, or the configuration of this rotation is at fault.",
  SubjectChanged: "The new token speaks for another identity than the version it would replace.",
  RestartFailed: "The vault is up to date, but a consumer was not brought up to date.",
  Failed: "The stage and the code say where and why.",
  NotReached: "The tick's deadline came first; the next tick begins with it.",
  SignInRequired: "The refresh token is no longer accepted.",
};

export const reasonMeanings: { readonly [Name in Reason]: string } = {
  SecretMissing: "The vault has no secret of that name.",
  SecretDisabled: "The current version is disabled.",
  Expired: "The current version has expired.",
  NearingExpiry: "The current version expires within the margin.",
  SpecChanged: "Source or format were configured differently when the version was written.",
  OutputsDiverged: "The outputs of the rotation were made from different tokens.",
  Forced: "Somebody asked for a new token.",
  Fresh: "Every output is up to date.",
  Paused: "An output is marked as paused, or the configuration says so.",
  Blocked: "A secret of that name is there and is not the rotator's.",
  ConfigurationInvalid: "The configuration of this rotation is at fault.",
  StateUnknown: "The vault could not be asked, so nothing was decided.",
};

export const stageMeanings: { readonly [Name in Stage]: string } = {
  configure: "reading the configuration",
  gather: "looking at the vault",
  decide: "deciding what to do",
  mint: "getting a token from its source",
  check: "checking the token before it is published",
  format: "laying it out for its reader",
  probe: "trying it where it will be used",
  publish: "writing the new version",
  propagate: "bringing consumers up to date",
  deliver: "writing files on a host (`pull`)",
};

export const consumerStateMeanings: { readonly [Name in ConsumerStateName]: string } = {
  current: "It runs with the newest version.",
  behind: "It does not hold the newest version yet.",
  restarting: "It holds the newest version; replicas with the old one are being replaced.",
  failed: "It could not be brought up to date.",
  unknown: "It could not be asked.",
};
