import type { TokenCredential } from "@azure/identity";
import type { ZodType } from "zod";
import type { SchemaDefinition } from "./defineSchema.ts";
import type {
  CallContext,
  Clock,
  Consumer,
  Format,
  Leases,
  NewVersion,
  Probe,
  SecretProperties,
  SecretReference,
  StoredSecret,
  TokenSource,
} from "./ports.ts";

/*
 * What a token source, a format, a consumer or a probe brings along: the schema of its part of the configuration, what
 * the rest of the product must know of it before it runs, and how to make one. Each stands in a file of its own and in one
 * line of its registry. A plug-in's file is loaded on every start, so it says by `defineSchema` how its schema is made, and
 * imports its heavy packages inside `create`.
 */

/** A secret reference as written in the configuration; the vault defaults to the configuration's. */
export interface SecretReferenceOption {
  readonly secret: string;
  readonly vault?: string | undefined;
}

export interface SourceSecret {
  /** Path within the source's options: `["authorization", "clientSecret"]`. */
  readonly path: readonly string[];
  readonly reference: SecretReferenceOption;
  /** `read`: only read. `keep`: the source also writes new versions (a refresh token, a key pair). */
  readonly access: "read" | "keep";
}

/** What a source reads and keeps in vaults, with the vault already chosen. */
export interface SourceSecrets {
  /**
   * The current version.
   * @throws RotatorError `SourceSecretMissing` where there is none, and whatever the store throws.
   */
  read(reference: SecretReferenceOption, context: CallContext): Promise<StoredSecret>;
  /** As `read`, but `undefined` where there is none. */
  find(reference: SecretReferenceOption, context: CallContext): Promise<StoredSecret | undefined>;
  /** Stores a new version under an operation id of its own, with the product's tags added. */
  keep(
    reference: SecretReferenceOption,
    version: Omit<NewVersion, "tags"> & { readonly tags?: Readonly<Record<string, string>> },
    context: CallContext,
  ): Promise<SecretProperties>;
  /** Changes tags of the version that was read; a tag given as `undefined` is removed, the others stay. */
  mark(
    reference: SecretReferenceOption,
    read: SecretProperties,
    tags: Readonly<Record<string, string | undefined>>,
    context: CallContext,
  ): Promise<void>;
  resolve(reference: SecretReferenceOption): SecretReference;
}

export interface SourceEnvironment {
  readonly clock: Clock;
  /**
   * `fetch` for provider endpoints: https only (http for loopback), no redirect followed, body limited to 1 MiB, ended by
   * the signal in its options.
   */
  readonly fetch: typeof globalThis.fetch;
  /** The identity that the rotator runs as. */
  readonly credential: () => Promise<TokenCredential>;
  readonly secrets: SourceSecrets;
  readonly leases: Leases;
  /** A source that stands inside this one's options (the subject of a token exchange). */
  readonly nested: (options: { readonly kind: string }) => Promise<TokenSource>;
  /** Where relative paths in the configuration begin. */
  readonly configurationDirectory: string;
  /** Base of Microsoft's OAuth endpoints, without a trailing slash: `https://login.microsoftonline.com`. */
  readonly authorityHost: string;
  /** The name of the (first) rotation that uses the source, for the command that an operator must run. */
  readonly rotation: string;
}

export interface SourcePlugin<Options extends { readonly kind: string }> {
  readonly schema: SchemaDefinition<ZodType<Options>>;
  /** The shortest lifetime, in milliseconds, that tokens of this source usually have; the freshness budget counts with it. */
  readonly lifetimeMs: (options: Options) => number;
  /** How long before its expiry, in milliseconds, a token stops being accepted; 0 for most. */
  readonly refusedBeforeExpiryMs?: (options: Options) => number;
  /** Every secret that the source reads or keeps, those of nested sources included. */
  readonly secrets: (options: Options) => readonly SourceSecret[];
  readonly create: (options: Options, environment: SourceEnvironment) => Promise<TokenSource>;
}

export interface FormatPlugin<Options extends { readonly format: string }> {
  /** Of the output's own options; `secret`, `vault` and the like are the configuration's. */
  readonly schema: SchemaDefinition<ZodType<Options>>;
  /** Checks that need the options as a whole, in words for the operator; empty when all is well. */
  readonly check?: (options: Options) => readonly { path: readonly (string | number)[]; message: string }[];
  readonly create: (options: Options) => Promise<Format>;
}

export interface ConsumerEnvironment {
  readonly clock: Clock;
  readonly credential: () => Promise<TokenCredential>;
  /** Base of the resource manager, without a trailing slash: `https://management.azure.com`. */
  readonly resourceManagerUrl: string;
}

export interface ConsumerPlugin<
  Options extends { readonly kind: string; readonly output: string; readonly secret: string },
> {
  readonly schema: SchemaDefinition<ZodType<Options>>;
  /** Options with equal targets are served by one consumer, so that one target sees one update. Case-insensitive. */
  readonly target: (options: Options) => string;
  /** From the vault's new version to the reader holding it, at worst, in milliseconds. */
  readonly propagationMs: (options: Options) => number;
  /** `bindings`: every option of every rotation with this target. */
  readonly create: (bindings: readonly Options[], environment: ConsumerEnvironment) => Promise<Consumer>;
}

export interface ProbeEnvironment {
  readonly clock: Clock;
  readonly fetch: typeof globalThis.fetch;
}

export interface ProbePlugin<Options extends { readonly kind: string }> {
  readonly schema: SchemaDefinition<ZodType<Options>>;
  readonly create: (options: Options, environment: ProbeEnvironment) => Promise<Probe>;
}
