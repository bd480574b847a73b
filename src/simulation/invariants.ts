import type { Outcome, TelemetryEvent } from "../events.ts";
import type { Service } from "./faults.ts";

/*
 * What must be true whatever goes wrong. Each invariant is a pure function of one observation and says what is wrong, or
 * nothing. The truth in an observation comes from the models, never from what the engine believes. Times in milliseconds.
 */

/** A reader let go of a token. */
export interface Served {
  readonly kind: "served";
  readonly rotation: string;
  readonly reader: string;
  /** For how long the reader had held it after it had expired; negative where it had so much left. */
  readonly overdueMs: number;
  /**
   * Whether a tick could have prevented it: one that began after the token was due, that nothing stood in the way of, and
   * that ended early enough for its version to reach the reader. Where there is none, the outage was longer than the margin.
   */
  readonly preventable: boolean;
}

/** A version as far as the invariants look at it. */
export interface VersionFacts {
  readonly ours: boolean;
  readonly enabled: boolean;
  readonly spec: string | undefined;
  readonly token: string | undefined;
  readonly content: string | undefined;
  readonly operation: string | undefined;
  /** When its token expires, in truth. */
  readonly expiresAt: number;
  /** Whom its token speaks for, in truth; `undefined` where that is not known any more. */
  readonly subject: string | undefined;
}

/** An instance wrote a version of an output. */
export interface Written {
  readonly kind: "written";
  readonly rotation: string;
  readonly output: string;
  readonly previous: VersionFacts | undefined;
  readonly version: VersionFacts;
  /** From when on the previous version could be replaced because it nears its expiry, at the earliest. */
  readonly dueFrom: number;
  /** By the clock of the instance that wrote. */
  readonly now: number;
  /** The configuration says that a secret of somebody else's may be taken over. */
  readonly adopt: boolean;
  /** The configuration states the subject, or a person has accepted another one. */
  readonly subjectAccepted: boolean;
  readonly paused: boolean;
  /** Another output of the rotation had to be written, so that this one came along to hold the same token. */
  readonly neededByOther: boolean;
  /** Somebody asked for a new token by name. */
  readonly forced: boolean;
  /** A person, or another run, was at it since this run had looked. Nothing in Key Vault keeps writers apart. */
  readonly disturbed: boolean;
  /** The refresh token that came with the token is the one that the vault holds. */
  readonly refreshTokenStored: boolean;
}

export interface OutputState {
  readonly output: string;
  /**
   * `overdue`: it should have been renewed by a tick that began when this one did. `endangered`: it lives for less than the
   * rotation's floor. `outdated`: laid out by another configuration.
   */
  readonly state:
    | "missing"
    | "disabled"
    | "foreign"
    | "expired"
    | "endangered"
    | "outdated"
    | "overdue"
    | "good";
  /** It was due, and nobody had a token that lives longer. */
  readonly latest: boolean;
}

export interface ConsumerFacts {
  readonly consumer: string;
  /** It was not given the current version. */
  readonly behind: boolean;
  /** Something in it runs with an older value, and nothing has begun to replace it. */
  readonly old: boolean;
  /** Nothing stood in the way. */
  readonly clear: boolean;
}

/** A tick of the timer came to its end. */
export interface TickEnded {
  readonly kind: "tickEnded";
  readonly rotation: string;
  readonly events: readonly TelemetryEvent[];
  readonly paused: boolean;
  /** Nothing stood in the way of a renewal, from the tick's beginning to its end: no pause either. */
  readonly clear: boolean;
  readonly outputs: readonly OutputState[];
  readonly consumers: readonly ConsumerFacts[];
  /** Outputs that again got a version only for the sake of another one, which again did not get the same token. */
  readonly writtenInVain: readonly string[];
  /** The instance that was given the newest refresh token is alive, the vault works, and it is not stored. */
  readonly refreshTokenLost: boolean;
}

/** The rotator has sent an update to an app. */
export interface AppUpdated {
  readonly kind: "appUpdated";
  readonly consumer: string;
  /** Secrets that are not the rotator's and are not as they were. */
  readonly altered: readonly string[];
  /** Secrets that were given an older token than they held, and not the one that the vault holds. */
  readonly older: readonly string[];
  /** Somebody else was at it at the same time: Container Apps have nothing that keeps writers apart. */
  readonly raced: boolean;
}

/** The rotator has asked for a restart or made a new revision. */
export interface RestartAsked {
  readonly kind: "restartAsked";
  readonly consumer: string;
  /** Replicas that run with an older value. */
  readonly old: number;
  /** How long ago it was last asked for these values; `undefined` where it was not. */
  readonly replacingForMs: number | undefined;
  /** How often it was asked since the values changed, this time included. */
  readonly asked: number;
  /** Two runs were under way at the same time. */
  readonly overlapping: boolean;
  /** The app was scaled since its replicas were looked at. */
  readonly raced: boolean;
  /** An update of the app has failed since it was last restarted, so that nobody can tell what it took of it. */
  readonly afterFailure: boolean;
  /** Ticks that were killed or said that the app was not served, and answers that were lost, since then. */
  readonly setbacks: number;
}

export interface RefreshTokenSpent {
  readonly kind: "refreshTokenSpent";
  readonly provider: string;
  readonly before: number;
  readonly knownSpent: boolean;
  /** The provider takes each of them once. */
  readonly oneTime: boolean;
}

/** An hour has passed. */
export interface HourPassed {
  readonly kind: "hourPassed";
  readonly calls: ReadonlyMap<Service, number>;
  readonly bounds: ReadonlyMap<Service, number>;
  readonly ticks: number;
  readonly ticksExpected: number;
  readonly mostCreates: number;
}

export type Observation =
  | Served
  | Written
  | TickEnded
  | AppUpdated
  | RestartAsked
  | RefreshTokenSpent
  | HourPassed;

/** The platform has 10 minutes to replace replicas before it is asked once more; less a minute, for what is noted late. */
const patienceMs = 9 * 60_000;
/** Key Vault takes so many new versions in 10 seconds. */
const mostCreates = 300;

/** No reader holds an expired token while the outage is shorter than the margin of the rotation. */
export function noExpiredTokenServed({ overdueMs, preventable }: Served): string | undefined {
  return overdueMs > 0 && preventable ? `held an expired token for ${overdueMs} ms` : undefined;
}

/** A good version is never replaced by one whose token ends earlier. */
export function neverOlder({ previous, version, disturbed }: Written): string | undefined {
  const good = !disturbed && previous?.ours && previous.enabled && previous.spec === version.spec;
  return good && version.expiresAt < previous.expiresAt
    ? `replaced a token that lives ${previous.expiresAt - version.expiresAt} ms longer`
    : undefined;
}

/** No token of another subject comes to stand where one of ours was, unless somebody said so. */
export function neverAnotherSubject(written: Written): string | undefined {
  const { previous, version, subjectAccepted } = written;
  const known = previous?.ours === true && previous.subject !== undefined;
  return known && !subjectAccepted && version.subject !== previous.subject
    ? `published a token of ${version.subject} over one of ${previous.subject}`
    : undefined;
}

/** A secret that somebody else made is not overwritten, unless the output adopts it. */
export function neverSomebodyElses({ previous, adopt, disturbed }: Written): string | undefined {
  const foreign = previous !== undefined && !previous.ours;
  return foreign && !adopt && !disturbed ? "overwrote somebody else's secret" : undefined;
}

/** A rotation that is paused is left alone. */
export function pausedIsLeftAlone({ paused, disturbed }: Written): string | undefined {
  return paused && !disturbed ? "wrote while paused" : undefined;
}

/**
 * Every version is needed: what was there was missing, disabled, somebody else's, laid out differently, expired or due, or
 * another output of the rotation needed the new token. The same write never makes two.
 */
export function noRedundantVersion(written: Written): string | undefined {
  const { previous, version, dueFrom, now, neededByOther, disturbed, forced } = written;
  if (previous === undefined || !previous.ours) {
    return undefined;
  }
  if (previous.operation === version.operation) {
    return "made two versions by one write";
  }
  if (!previous.enabled || previous.spec !== version.spec || disturbed) {
    return undefined;
  }
  if (previous.token === version.token && previous.content === version.content) {
    return "wrote what was there";
  }
  return now < dueFrom && !neededByOther && !forced
    ? `wrote ${dueFrom - now} ms before it was due`
    : undefined;
}

/** No version is written for the sake of another output that does not get its own. */
export function noVersionInVain({ writtenInVain }: TickEnded): string | undefined {
  return writtenInVain.length > 0 ? `wrote ${writtenInVain.join(", ")} in vain` : undefined;
}

/** A refresh token that is taken once is not spent again by somebody who knows that it was. */
export function refreshTokenSpentOnce({
  before,
  knownSpent,
  oneTime,
}: RefreshTokenSpent): string | undefined {
  return oneTime && before > 0 && knownSpent ? "spent a refresh token again" : undefined;
}

/** A new refresh token is stored before the token that came with it is published. */
export function refreshTokenStoredFirst({ refreshTokenStored }: Written): string | undefined {
  return refreshTokenStored ? undefined : "published before the refresh token was stored";
}

/** A refresh token that has reached a process that lives is in the vault when the tick ends. */
export function noRefreshTokenLost({ refreshTokenLost }: TickEnded): string | undefined {
  return refreshTokenLost ? "lost a refresh token" : undefined;
}

/** No secret of an app that a rotation does not feed is ever altered. */
export function othersSecretsKept({ altered, raced }: AppUpdated): string | undefined {
  return altered.length > 0 && !raced ? `altered ${altered.join(", ")}` : undefined;
}

/** An app is never given an older token than it has, but for the one that the vault holds. */
export function appNeverOlder({ older, raced }: AppUpdated): string | undefined {
  return older.length > 0 && !raced ? `gave back an older token as ${older.join(", ")}` : undefined;
}

/**
 * One restart for one change: none where everything runs with the current values, none while replicas are being replaced,
 * and no more than one repetition where the platform did nothing. Where a process was killed, or an answer lost, before the
 * restart could be noted at the app, there is one more.
 */
export function oneRestartPerChange(restart: RestartAsked): string | undefined {
  const { old, replacingForMs, asked, setbacks, overlapping, raced, afterFailure } = restart;
  if (overlapping) {
    return undefined;
  }
  if (old === 0 && !afterFailure && !raced) {
    return "restarted although nothing ran with an older value";
  }
  if (replacingForMs !== undefined && replacingForMs < patienceMs && setbacks === 0) {
    return `restarted again after ${replacingForMs} ms`;
  }
  return asked > 2 + setbacks ? `asked for a restart ${asked} times` : undefined;
}

const grave: ReadonlySet<OutputState["state"]> = new Set([
  "missing",
  "disabled",
  "foreign",
  "expired",
  "endangered",
]);

/** Whatever is wrong with a rotation when a tick ends is told by that tick. */
export function failureReported({ events, paused, outputs, consumers }: TickEnded): string | undefined {
  if (outputs.every(({ state }) => state === "good") && !consumers.some(({ behind, old }) => behind || old)) {
    return undefined;
  }
  // A token that was just published and lives for less than the floor is said in a warning, and by its metric.
  const rotated = hasRotated(events);
  const bad = outputs.filter(({ state }) => grave.has(state) && !(state === "endangered" && rotated));
  const told = events.some(({ name }) => name === "RotationFailed" || name === "SignInRequired");
  if (!told && !paused && bad.length > 0) {
    return `said nothing of ${bad.map(({ output, state }) => `${output} (${state})`).join(", ")}`;
  }
  const fresh = outcomeOf(events) === "Fresh";
  const left = [
    ...outputs.filter(({ state }) => state !== "good").map(({ output }) => output),
    ...consumers.filter(({ behind, old }) => behind || old).map(({ consumer }) => consumer),
  ];
  return fresh && !paused && left.length > 0 ? `called fresh: ${left.join(", ")}` : undefined;
}

/** A token was published; the platform may still be replacing what runs with the one before. */
function hasRotated(events: readonly TelemetryEvent[]): boolean {
  const [event] = events;
  const reason = event !== undefined && "reason" in event.properties ? event.properties.reason : "Fresh";
  const outcome = outcomeOf(events);
  return outcome === "Rotated" || (outcome === "RestartPending" && reason !== "Fresh");
}

function outcomeOf([event]: readonly TelemetryEvent[]): Outcome | undefined {
  return event !== undefined && "outcome" in event.properties ? event.properties.outcome : undefined;
}

/** Every tick says what became of every rotation, once. */
export function oneEventPerRotation({ events }: TickEnded): string | undefined {
  return events.length === 1 ? undefined : `was told by ${events.length} events`;
}

/** A tick that nothing stands in the way of leaves nothing to do. */
export function recoveredAtOnce({ clear, outputs, consumers }: TickEnded): string | undefined {
  const bad = clear ? outputs.filter(({ state, latest }) => state !== "good" && !latest) : [];
  if (bad.length > 0) {
    return `left ${bad.map(({ output, state }) => `${output} ${state}`).join(", ")}`;
  }
  const behind = consumers.filter((consumer) => consumer.clear && (consumer.behind || consumer.old));
  return behind.length > 0 ? `left ${behind.map(({ consumer }) => consumer).join(", ")} behind` : undefined;
}

/** Ticks, calls and versions stay within bounds in every hour, also where everything fails. */
export function callsBounded(hour: HourPassed): string | undefined {
  const { calls, bounds, ticks, ticksExpected } = hour;
  if (ticks > ticksExpected) {
    return `${ticks} ticks in an hour`;
  }
  for (const [service, bound] of bounds) {
    const count = calls.get(service) ?? 0;
    if (count > bound) {
      return `${count} calls of ${service} in an hour, more than ${bound}`;
    }
  }
  return hour.mostCreates > mostCreates ? `${hour.mostCreates} new versions in 10 s` : undefined;
}

/** Every invariant by the kind of observation that it looks at. */
export const invariants = {
  served: { noExpiredTokenServed },
  written: {
    neverOlder,
    neverAnotherSubject,
    neverSomebodyElses,
    pausedIsLeftAlone,
    noRedundantVersion,
    refreshTokenStoredFirst,
  },
  tickEnded: {
    oneEventPerRotation,
    failureReported,
    recoveredAtOnce,
    noVersionInVain,
    noRefreshTokenLost,
  },
  appUpdated: { othersSecretsKept, appNeverOlder },
  restartAsked: { oneRestartPerChange },
  refreshTokenSpent: { refreshTokenSpentOnce },
  hourPassed: { callsBounded },
} satisfies {
  [Kind in Observation["kind"]]: Record<
    string,
    (observation: Extract<Observation, { readonly kind: Kind }>) => string | undefined
  >;
};

export type InvariantName = {
  [Kind in keyof typeof invariants]: keyof (typeof invariants)[Kind];
}[keyof typeof invariants];

/** What is wrong with an observation, by the names of the invariants that it breaks. */
export function violationsOf(observation: Observation): readonly [name: InvariantName, what: string][] {
  const violations: [InvariantName, string][] = [];
  for (const [name, check] of checks.get(observation.kind) ?? []) {
    const what = check(observation);
    if (what !== undefined) {
      violations.push([name, what]);
    }
  }
  return violations;
}

type Check = (observation: Observation) => string | undefined;

const checks: ReadonlyMap<string, readonly [InvariantName, Check][]> = new Map(
  Object.entries(invariants).map(([kind, table]) => [
    kind,
    Object.entries(table) as [InvariantName, Check][],
  ]),
);
