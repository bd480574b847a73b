import { randomUUID } from "node:crypto";
import type { Clock } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import {
  beingDeleted,
  beingRecovered,
  deletedButRecoverable,
  deletedSecretNotFound,
  invalidName,
  invalidProperty,
  secretDisabled,
  secretNotFound,
  tooManyVersionsForBackup,
} from "./vaultRefusals.ts";

/** One version as the vault keeps it. Times are unix seconds, whole ones, as the service keeps them. */
export interface VaultVersion {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly value: SecretValue;
  readonly contentType?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly enabled: boolean;
  /** Informational, like `expires`: the service hands the value out all the same. */
  readonly notBefore?: number;
  readonly expires?: number;
  readonly created: number;
  readonly updated: number;
}

/** What a writer can say of a version. On an update, what is absent stays as it is; tags are replaced as a whole. */
export interface VersionAttributes {
  readonly contentType?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly enabled?: boolean;
  readonly notBefore?: number;
  readonly expires?: number;
}

export interface VaultSecret {
  /** As it was first written; names compare without case. */
  readonly name: string;
  /** Oldest first; the last one is the current version. Never empty. */
  readonly versions: readonly VaultVersion[];
  readonly current: VaultVersion;
}

export interface DeletedVaultSecret extends VaultSecret {
  /** Unix seconds. */
  readonly deleted: number;
  /** Unix seconds. */
  readonly scheduledPurge: number;
}

/** Soft delete cannot be switched off; 90 days is the default retention. */
export const retentionDays = 90;
const retentionSeconds = retentionDays * 24 * 60 * 60;
/** Documented: one more version, and backup fails. */
const mostVersionsInBackup = 500;

/**
 * The secrets of one vault and the service's rules about them, without HTTP, tokens and roles. A test seeds, alters and
 * asserts with it directly: `vault.secrets.set("name", "value", { expires })`, `vault.secrets.versions("name")`.
 *
 * Every method throws the {@link Refusal} that the service would answer. `now` is in milliseconds since the epoch,
 * by default the clock of the embedded Azure.
 */
export class VaultSecrets {
  readonly #clock: Clock;
  /** How long deleting, purging and recovering go on after they were accepted. In Azure seconds, here none by default. */
  readonly #transitionMs: number;
  readonly #records = new Map<string, MutableSecret>();
  #sorted: string[] | undefined;

  constructor(clock: Clock, options: { transitionMs?: number } = {}) {
    this.#clock = clock;
    this.#transitionMs = options.transitionMs ?? 0;
  }

  /** Adds a version, and the secret where there is none. */
  set(
    name: string,
    value: string | SecretValue,
    attributes: VersionAttributes = {},
    now = this.#clock.now(),
  ): VaultVersion {
    if (!/^[0-9a-zA-Z-]{1,127}$/.test(name)) {
      throw invalidName(name);
    }
    const secret = typeof value === "string" ? new SecretValue(value) : value;
    if (secret.byteLength > 25 * 1024) {
      throw invalidProperty();
    }
    checkAttributes(attributes);
    const record = this.#find(name, now);
    refuseUnlessWritable(record, now);
    const seconds = Math.floor(now / 1000);
    const version: VaultVersion = {
      enabled: true,
      ...attributes,
      id: randomUUID().replaceAll("-", ""),
      value: secret,
      created: seconds,
      updated: seconds,
    };
    if (record === undefined) {
      this.#records.set(name.toLowerCase(), { name, versions: [version], transition: undefined });
      this.#sorted = undefined;
    } else {
      record.versions.push(version);
    }
    return version;
  }

  /** The current version, or the one named, disabled or not. */
  find(name: string, version?: string, now = this.#clock.now()): VaultVersion {
    const record = this.#active(name, now);
    const found =
      version === undefined ? current(record) : record.versions.find((candidate) => candidate.id === version);
    if (found === undefined) {
      throw secretNotFound(name, version);
    }
    return found;
  }

  /** As `find`, and refused where the version is disabled: what reading the value means. */
  get(name: string, version?: string, now = this.#clock.now()): VaultVersion {
    const found = this.find(name, version, now);
    if (!found.enabled) {
      throw secretDisabled();
    }
    return found;
  }

  /** Alters the current version, or the one named. The value stays. */
  update(
    name: string,
    attributes: VersionAttributes,
    version?: string,
    now = this.#clock.now(),
  ): VaultVersion {
    checkAttributes(attributes);
    const before = this.find(name, version, now);
    const after = { ...before, ...attributes, updated: Math.floor(now / 1000) };
    const { versions } = this.#active(name, now);
    versions[versions.indexOf(before)] = after;
    return after;
  }

  /** Every version, oldest first; none where the secret is absent or deleted. */
  versions(name: string, now = this.#clock.now()): readonly VaultVersion[] {
    const record = this.#find(name, now);
    return record !== undefined && isActive(record, now) ? [...record.versions] : [];
  }

  /** At most `limit` secrets in the order of their names, beginning after the name given. */
  list(after = "", limit = Number.POSITIVE_INFINITY, now = this.#clock.now()): readonly VaultSecret[] {
    return this.#page(
      after,
      limit,
      (record) => (isActive(record, now) ? new Snapshot(record) : undefined),
      now,
    );
  }

  /** Soft-deletes every version. */
  delete(name: string, now = this.#clock.now()): DeletedVaultSecret {
    const record = this.#active(name, now);
    record.transition = { kind: "delete", at: now, settlesAt: now + this.#transitionMs };
    return deletedSnapshot(record, now);
  }

  /** A deleted secret, once its deletion is done. */
  getDeleted(name: string, now = this.#clock.now()): DeletedVaultSecret {
    const record = this.#find(name, now);
    if (record === undefined || stateOf(record, now) !== "deleted") {
      throw deletedSecretNotFound(name);
    }
    if (!current(record).enabled) {
      throw secretDisabled();
    }
    return deletedSnapshot(record, now);
  }

  /** As `list`, of the deleted ones. */
  listDeleted(
    after = "",
    limit = Number.POSITIVE_INFINITY,
    now = this.#clock.now(),
  ): readonly DeletedVaultSecret[] {
    const deleted = (record: MutableSecret) =>
      stateOf(record, now) === "deleted" ? deletedSnapshot(record, now) : undefined;
    return this.#page(after, limit, deleted, now);
  }

  recover(name: string, now = this.#clock.now()): VaultSecret {
    const record = this.#deleted(name, now);
    record.transition = { kind: "recover", at: now, settlesAt: now + this.#transitionMs };
    return new Snapshot(record);
  }

  /** Frees the name, once it is done. */
  purge(name: string, now = this.#clock.now()): void {
    const record = this.#deleted(name, now);
    record.transition = { kind: "purge", at: now, settlesAt: now + this.#transitionMs };
  }

  /** Refused where the secret has more versions than a backup takes. */
  backup(name: string, now = this.#clock.now()): VaultSecret {
    const record = this.#active(name, now);
    if (record.versions.length > mostVersionsInBackup) {
      throw tooManyVersionsForBackup(name);
    }
    return new Snapshot(record);
  }

  /** Drops all but the newest versions. The service cannot do that; runs over a year of it need it. */
  trim(name: string, keep: number): void {
    const versions = this.#records.get(name.toLowerCase())?.versions;
    versions?.splice(0, versions.length - keep);
  }

  #page<T>(after: string, limit: number, take: (record: MutableSecret) => T | undefined, now: number): T[] {
    this.#sorted ??= [...this.#records.keys()].sort();
    const taken: T[] = [];
    for (const key of this.#sorted.slice(firstAfter(this.#sorted, after.toLowerCase()))) {
      const record = this.#find(key, now);
      const item = record === undefined ? undefined : take(record);
      if (item !== undefined) {
        taken.push(item);
      }
      if (taken.length >= limit) {
        break;
      }
    }
    return taken;
  }

  /** A record that is still there: neither purged nor past its retention. */
  #find(name: string, now: number): MutableSecret | undefined {
    const key = name.toLowerCase();
    const record = this.#records.get(key);
    if (record !== undefined && stateOf(record, now) === "gone") {
      this.#records.delete(key);
      this.#sorted = undefined;
      return undefined;
    }
    return record;
  }

  #active(name: string, now: number): MutableSecret {
    const record = this.#find(name, now);
    if (record === undefined || !isActive(record, now)) {
      throw secretNotFound(name);
    }
    return record;
  }

  #deleted(name: string, now: number): MutableSecret {
    const record = this.#find(name, now);
    const state = record === undefined ? "gone" : stateOf(record, now);
    if (state === "deleting") {
      throw beingDeleted(name);
    }
    if (record === undefined || state !== "deleted") {
      throw deletedSecretNotFound(name);
    }
    return record;
  }
}

interface MutableSecret {
  readonly name: string;
  readonly versions: VaultVersion[];
  /** The last thing that was done to the secret as a whole. Milliseconds since the epoch. */
  transition:
    | { readonly kind: "delete" | "purge" | "recover"; readonly at: number; readonly settlesAt: number }
    | undefined;
}

type State = "active" | "deleting" | "deleted" | "purging" | "recovering" | "gone";

function stateOf({ transition }: MutableSecret, now: number): State {
  if (transition === undefined) {
    return "active";
  }
  const settled = now >= transition.settlesAt;
  switch (transition.kind) {
    case "delete":
      if (!settled) {
        return "deleting";
      }
      return now < transition.at + retentionSeconds * 1000 ? "deleted" : "gone";
    case "purge":
      return settled ? "gone" : "purging";
    case "recover":
      return settled ? "active" : "recovering";
  }
}

function isActive(record: MutableSecret, now: number): boolean {
  const state = stateOf(record, now);
  return state === "active" || state === "recovering";
}

function refuseUnlessWritable(record: MutableSecret | undefined, now: number): void {
  if (record === undefined) {
    return;
  }
  switch (stateOf(record, now)) {
    case "deleting":
    case "purging":
      throw beingDeleted(record.name);
    case "deleted":
      throw deletedButRecoverable(record.name);
    case "recovering":
      throw beingRecovered(record.name);
    default:
  }
}

function checkAttributes({ contentType = "", tags = {}, notBefore, expires }: VersionAttributes): void {
  const texts = Object.entries(tags).flat();
  const times = [notBefore, expires].filter((time) => time !== undefined);
  if (
    contentType.length > 255 ||
    texts.length > 2 * 15 ||
    texts.some((text) => text.length > 512) ||
    // The client library writes a date after 2038 as a negative number.
    times.some((time) => !Number.isInteger(time) || time < 0)
  ) {
    throw invalidProperty();
  }
}

function current(record: MutableSecret): VaultVersion {
  return record.versions.at(-1) as VaultVersion;
}

/** The versions are copied for whoever looks at them: a listing of many secrets with long histories does not. */
class Snapshot implements VaultSecret {
  readonly name: string;
  readonly current: VaultVersion;
  readonly #versions: readonly VaultVersion[];
  readonly #count: number;

  constructor(record: MutableSecret) {
    this.name = record.name;
    this.current = current(record);
    this.#versions = record.versions;
    this.#count = record.versions.length;
  }

  get versions(): readonly VaultVersion[] {
    return this.#versions.slice(0, this.#count);
  }
}

function deletedSnapshot(record: MutableSecret, now: number): DeletedVaultSecret {
  const deleted = Math.floor((record.transition?.at ?? now) / 1000);
  const { name, versions } = record;
  return {
    name,
    current: current(record),
    versions: [...versions],
    deleted,
    scheduledPurge: deleted + retentionSeconds,
  };
}

/** Index of the first element that sorts after `key`. */
function firstAfter(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) <= key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
