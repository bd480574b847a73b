import type { Facts, RotatorError } from "./errors.ts";
import type { ConsumerStateName, TelemetryEvent, TelemetryMetric } from "./events.ts";
import type { SecretValue } from "./secretValue.ts";

/*
 * The contracts between the core, which decides, and everything that touches the world. Whatever an adapter throws is a
 * RotatorError; anything else is reported as `Unexpected`.
 */

/** The only way to know or to pass time. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with `signal.reason` as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** How long a call may go on. Every adapter call takes one and honours both. */
export interface CallContext {
  /** Aborts the call at once. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch after which no retry is begun. */
  readonly giveUpAt: number;
}

// Token sources ---------------------------------------------------------------------------------------------------

/** A freshly minted token and what is known of it. */
export interface Token {
  readonly value: SecretValue;
  /** From the provider's answer or the token itself; never assumed. */
  readonly expiresOn: Date;
  /** When its lifetime began; the moment of minting where the provider does not tell. */
  readonly issuedOn: Date;
  /** Whom it speaks for, where the source knows better than the token's own claims (an opaque token has none). */
  readonly subject?: string;
  /**
   * When the source's own credential runs out (a refresh token after 90 days), where that is known and so near that
   * somebody should be told.
   */
  readonly signInBy?: Date;
  /** What belongs to the token and is secret too, by name: `privateKey`, `refreshToken`. */
  readonly companions?: Readonly<Record<string, SecretValue>>;
  /** What belongs to the token and is no secret, by name: `fingerprint`, `scope`. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface MintContext extends CallContext {
  /**
   * The token that the vault holds now, where it is known. A source with a cache in front of it uses this to see that an
   * answer is the old one and to ask again past the cache; the engine compares in any case.
   */
  readonly current?: { readonly fingerprint: string; readonly expiresOn: Date };
  /** Somebody asked for a new token by name (`rotate --force`): replace key material that is due for it too. */
  readonly forced: boolean;
}

/** Mints tokens of one configured source. Never writes an output; may keep state of its own in secrets of its own. */
export interface TokenSource {
  /**
   * A new token, or the one that a cache in front of the source still hands out.
   * @throws RotatorError with `retryable` set where the same call may succeed later. Retries are the engine's business.
   */
  mint(context: MintContext): Promise<Token>;
}

// Formats ---------------------------------------------------------------------------------------------------------

export interface Rendered {
  readonly value: SecretValue;
  /** For the secret's `contentType`; at most 255 characters. */
  readonly contentType: string;
}

/** Lays a token out as its reader wants it. Pure: equal tokens give equal values. */
export interface Format {
  /** @throws RotatorError where the token cannot be laid out so (a line break where the reader takes one line). */
  render(token: Token): Rendered;
}

// Probes ----------------------------------------------------------------------------------------------------------

/** Tries a new token where it will be used, before it is published. */
export interface Probe {
  /** @throws RotatorError when the token does not work there. */
  probe(token: Token, context: CallContext): Promise<void>;
}

// Stores ----------------------------------------------------------------------------------------------------------

/** What is known of one version of a secret without reading its value. */
export interface SecretProperties {
  readonly name: string;
  /** Absent where the properties come from a listing of the vault, which carries none. */
  readonly version?: string;
  readonly enabled: boolean;
  readonly expiresOn?: Date;
  /** Whole seconds, by the store's clock. */
  readonly createdOn?: Date;
  readonly contentType?: string;
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * The current version of a secret, as far as it can be known. Only the store's own "not found" is `absent`: everything
 * that keeps us from knowing is `unknown`, and unknown is never treated as absent.
 */
export type SecretState =
  | { readonly kind: "present"; readonly properties: SecretProperties }
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly error: RotatorError };

export interface StoredSecret {
  readonly value: SecretValue;
  readonly properties: SecretProperties;
}

export interface NewVersion {
  readonly value: SecretValue;
  readonly contentType: string;
  readonly expiresOn?: Date;
  /** Includes `operation`, which makes a write recognisable. */
  readonly tags: Readonly<Record<string, string>> & { readonly operation: string };
}

/**
 * One vault. Retries its own calls (throttling, 5xx, lost connections) until `giveUpAt`, within the vault's published
 * limits.
 */
export interface SecretStore {
  /** The vault's URL without a trailing slash. */
  readonly vault: string;
  /** The state of every name. Reads no value; never throws but for an aborted signal. */
  inspect(names: readonly string[], context: CallContext): Promise<ReadonlyMap<string, SecretState>>;
  /** The value of the current version, or of the one named; `undefined` only where the store says "not found". */
  read(name: string, context: CallContext, version?: string): Promise<StoredSecret | undefined>;
  /**
   * Writes exactly one new version for its `operation`: an answer that was lost is settled by looking for the operation
   * before anything is written again.
   */
  write(name: string, version: NewVersion, context: CallContext): Promise<SecretProperties>;
  /** Replaces the tags of a version (the current one where none is named). */
  replaceTags(
    name: string,
    tags: Readonly<Record<string, string>>,
    context: CallContext,
    version?: string,
  ): Promise<SecretProperties>;
  /** Every version, newest first. */
  listVersions(name: string, context: CallContext): Promise<readonly SecretProperties[]>;
  /** Makes a superseded version unreadable. The caller sees to it that it is not the current one. */
  disable(name: string, version: string, context: CallContext): Promise<void>;
}

/** A secret that a source must read: the reference in the configuration, resolved to a vault. */
export interface SecretReference {
  readonly vault: string;
  readonly secret: string;
}

// Leases ----------------------------------------------------------------------------------------------------------

/** Keeps two runs apart, also in two processes on two machines. */
export interface Leases {
  /**
   * Runs `work` while holding the lease of that name. `signal` aborts when the lease is lost before `work` is done.
   * @throws RotatorError `LeaseHeld` (retryable) where another run holds it.
   */
  hold<T>(name: string, context: CallContext, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

// Consumers -------------------------------------------------------------------------------------------------------

/** One secret of a consumer and the output that feeds it. */
export interface WantedSecret {
  readonly rotation: string;
  /** Name of the output's secret in the vault. */
  readonly output: string;
  readonly vault: string;
  /** Name of the secret at the consumer. */
  readonly secret: string;
  /** Identifies the output's current version: its `operation` tag. */
  readonly operation: string;
  /** The value, read from the vault when it was not written in this tick. */
  readonly load: (context: CallContext) => Promise<SecretValue>;
  /** The vault's id of the version; found without reading a value. */
  readonly version: (context: CallContext) => Promise<string>;
}

export interface ConsumerState {
  readonly state: ConsumerStateName;
  /** Names (at the consumer) of the secrets that it does not hold yet. */
  readonly behind: readonly string[];
  /** Why `state` is `failed` or `unknown`. */
  readonly error?: RotatorError;
  readonly facts?: Facts;
}

export interface ConsumerReport extends ConsumerState {
  /** How many secrets this run wrote at the consumer. */
  readonly updated: number;
  readonly restarted: boolean;
}

/**
 * One target (one Container App) with all that the configuration feeds it. What is pending is derived from the vault and
 * the target, never remembered, so that a crash between any two calls heals on the next tick.
 */
export interface Consumer {
  readonly kind: string;
  /** Identifies the target in reports: its resource id. */
  readonly target: string;
  /** Compares without changing anything. Never throws but for an aborted signal. */
  inspect(wanted: readonly WantedSecret[], context: CallContext): Promise<ConsumerState>;
  /**
   * Brings the target up to date: one update with all that changed and at most one restart. Does nothing where nothing
   * is pending. Failures are in the report; never throws but for an aborted signal.
   */
  reconcile(wanted: readonly WantedSecret[], context: CallContext): Promise<ConsumerReport>;
}

// Telemetry -------------------------------------------------------------------------------------------------------

/** Where events and metrics go. No method throws; a sink that is down changes no rotation. */
export interface Telemetry {
  event(event: TelemetryEvent, operation: string): void;
  metric(metric: TelemetryMetric): void;
  /** Waits until what was said is handed over, at most until the signal aborts. */
  flush(signal: AbortSignal): Promise<void>;
}
