import type { Consumer, Format, Probe, SecretState, Token, TokenSource } from "../ports.ts";

/*
 * What the engine works on: the configuration, resolved and joined with the adapters. Sources, formats and probes are
 * made on first use, so that a tick with nothing due loads none of them.
 */

export interface SourceBinding {
  /** Equal for equally configured sources: they share one mint per tick. */
  readonly key: string;
  readonly kind: string;
  /** How long before its expiry a token of this source stops being accepted, in milliseconds. */
  readonly refusedBeforeExpiryMs: number;
  readonly load: () => Promise<TokenSource>;
}

export interface Output {
  /** Name of the secret; unique within its vault. */
  readonly secret: string;
  readonly vault: string;
  /** Take over a secret of that name that somebody else made. */
  readonly adopt: boolean;
  /** Short hash of all that decides the content besides the token itself. */
  readonly spec: string;
  readonly load: () => Promise<Format>;
}

export interface ConsumerBinding {
  readonly consumer: Consumer;
  /** Name of the output's secret. */
  readonly output: string;
  /** Name of the secret at the consumer. */
  readonly secret: string;
}

export interface Timing {
  /** Configured margin; a third of the token's lifetime where absent. Milliseconds. */
  readonly marginMs?: number;
  /** The least margin with which no reader can come to see an expired token. Milliseconds. */
  readonly floorMs: number;
  /** How much later than the floor a renewal may be without anything being wrong: a tick and its retries. Default 0. */
  readonly overdueMs?: number;
}

export interface Retirement {
  /** How long a superseded version stays readable after it was made, at least. Milliseconds. */
  readonly graceMs: number;
  /** How many of the newest versions are never touched; at least 2. */
  readonly keep: number;
}

/** The checks on a token that need no knowledge of what the vault holds. */
export interface TokenChecks {
  /** @throws RotatorError where the token's claims are not the expected ones. */
  readonly check: (token: Token, now: number) => void;
  /** Whom the token speaks for; `undefined` for a token that does not tell. */
  readonly subjectOf: (token: Token) => string | undefined;
  /** The configuration states the subject, so that `check` has compared it already. */
  readonly subjectStated: boolean;
}

export interface Rotation {
  readonly name: string;
  /** The first that mints wins. */
  readonly sources: readonly SourceBinding[];
  readonly outputs: readonly Output[];
  readonly consumers: readonly ConsumerBinding[];
  readonly timing: Timing;
  readonly checks: TokenChecks;
  readonly probe?: () => Promise<Probe>;
  /** Paused by the configuration, until that moment (milliseconds since the epoch) or until it is changed. */
  readonly paused?: { readonly until?: number };
  readonly retire?: Retirement;
  /** What is wrong with its part of the configuration, one line each; such a rotation is blocked. */
  readonly faults: readonly string[];
}

/** Identifies an output across vaults. */
export function outputKey(output: { readonly vault: string; readonly secret: string }): string {
  return `${output.vault}/secrets/${output.secret}`.toLowerCase();
}

export type States = ReadonlyMap<string, SecretState>;
