import { createHash } from "node:crypto";
import type { RotatorError } from "../../src/errors.ts";
import type {
  CallContext,
  Clock,
  NewVersion,
  SecretProperties,
  SecretState,
  SecretStore,
  StoredSecret,
} from "../../src/ports.ts";

/** A vault in memory, at the port: it keeps every version, counts every call, and fails on demand. */
export class MemoryStore implements SecretStore {
  readonly vault: string;
  readonly calls: string[] = [];
  /** Throws before a call takes effect, when it returns an error for it (`write:name`, `inspect`, …). */
  fail: (call: string) => Error | undefined = () => undefined;
  readonly #clock: Clock;
  readonly #secrets = new Map<string, StoredSecret[]>();

  constructor(vault: string, clock: Clock) {
    this.vault = vault;
    this.#clock = clock;
  }

  /** Newest first. */
  versions(name: string): readonly StoredSecret[] {
    return this.#secrets.get(name.toLowerCase()) ?? [];
  }

  /** Puts a version there without a call. */
  seed(
    name: string,
    stored: Omit<StoredSecret, "properties"> & { properties: Partial<SecretProperties> },
  ): void {
    this.#add(name, stored);
  }

  async inspect(names: readonly string[]): Promise<ReadonlyMap<string, SecretState>> {
    this.calls.push("inspect");
    const broken = this.fail("inspect");
    return new Map(
      names.map((name): [string, SecretState] => {
        if (broken !== undefined) {
          return [name, { kind: "unknown", error: broken as RotatorError }];
        }
        const current = this.versions(name)[0];
        if (current === undefined) {
          return [name, { kind: "absent" }];
        }
        const { version: _, ...properties } = current.properties;
        return [name, { kind: "present", properties }];
      }),
    );
  }

  async read(name: string, _context: CallContext, version?: string): Promise<StoredSecret | undefined> {
    this.#enter(`read:${name}`);
    return version === undefined
      ? this.versions(name)[0]
      : this.versions(name).find(({ properties }) => properties.version === version);
  }

  async write(name: string, version: NewVersion): Promise<SecretProperties> {
    this.#enter(`write:${name}`);
    const known = this.versions(name).find(
      ({ properties }) => properties.tags.operation === version.tags.operation,
    );
    return (known ?? this.#add(name, { value: version.value, properties: version })).properties;
  }

  async replaceTags(
    name: string,
    tags: Readonly<Record<string, string>>,
    _context: CallContext,
    version?: string,
  ): Promise<SecretProperties> {
    this.#enter(`replaceTags:${name}`);
    return this.#change(name, version, { tags });
  }

  async listVersions(name: string): Promise<readonly SecretProperties[]> {
    this.#enter(`listVersions:${name}`);
    return this.versions(name).map(({ properties }) => properties);
  }

  async disable(name: string, version: string): Promise<void> {
    this.#enter(`disable:${name}`);
    this.#change(name, version, { enabled: false });
  }

  #enter(call: string): void {
    this.calls.push(call);
    const error = this.fail(call);
    if (error !== undefined) {
      throw error;
    }
  }

  #add(
    name: string,
    stored: { value: StoredSecret["value"]; properties: Partial<SecretProperties> },
  ): StoredSecret {
    const versions = this.#secrets.get(name.toLowerCase()) ?? [];
    const { enabled = true, tags = {}, expiresOn, contentType } = stored.properties;
    const added: StoredSecret = {
      value: stored.value,
      properties: {
        name,
        version: createHash("sha256").update(`${name}/${versions.length}`).digest("hex").slice(0, 32),
        enabled,
        tags,
        createdOn: new Date(Math.floor(this.#clock.now() / 1000) * 1000),
        ...(expiresOn === undefined
          ? {}
          : { expiresOn: new Date(Math.floor(expiresOn.getTime() / 1000) * 1000) }),
        ...(contentType === undefined ? {} : { contentType }),
      },
    };
    this.#secrets.set(name.toLowerCase(), [added, ...versions]);
    return added;
  }

  #change(name: string, version: string | undefined, change: Partial<SecretProperties>): SecretProperties {
    const versions = [...this.versions(name)];
    const index =
      version === undefined ? 0 : versions.findIndex(({ properties }) => properties.version === version);
    const found = versions[index];
    if (found === undefined) {
      throw new Error(`no version of ${name} to change`);
    }
    const changed = { ...found, properties: { ...found.properties, ...change } };
    versions[index] = changed;
    this.#secrets.set(name.toLowerCase(), versions);
    return changed.properties;
  }
}
