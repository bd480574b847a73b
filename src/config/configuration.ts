import type * as z from "zod";
import type { FreshnessBudget } from "./budget.ts";
import type { delivery } from "./delivery.ts";
import type { ConfigProblem } from "./problems.ts";

/**
 * `rotations.json` as the rest of the product sees it: checked, defaults and vaults filled in, durations in milliseconds,
 * frozen. Plain data throughout, so that it can be kept as JSON.
 */
export interface Configuration {
  /** Absolute path of the file it came from. */
  readonly file: string;
  /** Where relative paths in it begin. */
  readonly directory: string;
  /** The vault of every output and reference that names none. */
  readonly vault: string;
  /** 12 hex digits: equal for configurations that mean the same. */
  readonly hash: string;
  /** How often the timer fires. */
  readonly tickMs: number;
  /** How long a tick may go on retrying. */
  readonly retryBudgetMs: number;
  /** In the order of the file. */
  readonly rotations: readonly RotationConfiguration[];
  /** Every fault of every rotation; whoever wants all or nothing looks here. */
  readonly problems: readonly ConfigProblem[];
}

export type RotationConfiguration = ReadyRotation | BlockedRotation;

/** A rotation with a fault: it is not run, and every tick says so. */
export interface BlockedRotation {
  readonly state: "blocked";
  /** As in the file, or `#3` for the third where the name itself cannot be shown. */
  readonly name: string;
  readonly faults: readonly ConfigProblem[];
  /** The outputs whose names could be read, for `status`. */
  readonly outputs: readonly { readonly secret: string; readonly vault: string }[];
}

export interface ReadyRotation {
  readonly state: "ready";
  readonly name: string;
  readonly faults: readonly [];
  /** The first that mints wins. */
  readonly sources: readonly SourceConfiguration[];
  readonly outputs: readonly OutputConfiguration[];
  readonly consumers: readonly ConsumerOptions[];
  /** As configured; a third of the token's lifetime where absent. */
  readonly marginMs?: number;
  /** The least margin with which no reader can come to see an expired token. */
  readonly floorMs: number;
  /** The shortest lifetime that its tokens usually have. */
  readonly lifetimeMs: number;
  readonly budget: FreshnessBudget;
  readonly expect?: ExpectedClaims;
  readonly probe?: ProbeOptions;
  /** Paused until that moment (milliseconds since the epoch), or until the configuration is changed. */
  readonly paused?: { readonly until?: number };
  readonly kubernetes?: KubernetesDelivery;
  readonly files: readonly FileDelivery[];
  readonly retire?: { readonly graceMs: number; readonly keep: number };
}

export interface SourceConfiguration {
  readonly kind: string;
  /** As its plug-in's schema gives them, with the vault filled into every secret reference. */
  readonly options: SourceOptions;
  /** 16 hex digits: equal sources, in whatever rotation, share one mint. */
  readonly key: string;
  readonly lifetimeMs: number;
  readonly refusedBeforeExpiryMs: number;
}

export interface OutputConfiguration {
  readonly secret: string;
  readonly vault: string;
  readonly adopt: boolean;
  /** The format and its options. */
  readonly options: FormatOptions;
  /** 16 hex digits over all that decides the content besides the token: the format's options and the sources. */
  readonly spec: string;
}

export interface SourceOptions {
  readonly kind: string;
  readonly [option: string]: unknown;
}

export interface FormatOptions {
  readonly format: string;
  readonly [option: string]: unknown;
}

export interface ConsumerOptions {
  readonly kind: string;
  /** Name of the output's secret. */
  readonly output: string;
  /** Name of the secret at the consumer. */
  readonly secret: string;
  readonly [option: string]: unknown;
}

export interface ProbeOptions {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** What a JSON Web Token must say before it is published; compared, never trusted. */
export interface ExpectedClaims {
  readonly issuer?: string | undefined;
  /** Any one of them. */
  readonly audience?: readonly string[] | undefined;
  readonly tenant?: string | undefined;
  readonly subject?: string | undefined;
  /** All of them. */
  readonly roles?: readonly string[] | undefined;
  readonly version?: "1.0" | "2.0" | undefined;
}

/** How pods read the outputs, through the Secrets Store CSI driver; `objects` names at least one output. */
export interface KubernetesDelivery
  extends Readonly<Omit<z.output<typeof delivery.kubernetes>, "pollInterval" | "objects">> {
  readonly pollIntervalMs: number;
  readonly objects: readonly KubernetesObject[];
}

export interface KubernetesObject {
  /** Name of the output's secret. */
  readonly output: string;
  /** Name of the file; the output's name where absent. */
  readonly alias?: string | undefined;
  readonly filePermission?: string | undefined;
}

/** A file that `pull` keeps up to date on a host. Paths may begin with `~/`; others begin at the configuration. */
export type FileDelivery = Readonly<z.output<typeof delivery.files>[number]>;
