import type { SecretProperties as ClientProperties } from "@azure/keyvault-secrets";
import { unlessAborted } from "../core/deadline.ts";
import { concurrencyLimit } from "../core/rateLimit.ts";
import { retry } from "../core/retry.ts";
import { asRotatorError, RotatorError } from "../errors.ts";
import type {
  CallContext,
  NewVersion,
  SecretProperties,
  SecretState,
  SecretStore,
  StoredSecret,
} from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import { clientError, vaultProblems } from "./keyVaultErrors.ts";
import type { SecretClient } from "./secretClient.ts";
import { SharedFacts } from "./sharedFacts.ts";
import { connectToVault, type VaultConnection, type VaultConnectionOptions } from "./vaultConnection.ts";
import { checkName, checkTags, checkVersion } from "./versionChecks.ts";

export interface KeyVaultStoreOptions extends VaultConnectionOptions {
  /** `https://NAME.vault.azure.net`; a trailing slash does not matter. */
  readonly vault: string;
  /** Brings another client than the SDK's, for a vault that is none. */
  readonly connect?: () => Promise<VaultConnection>;
}

/**
 * The secrets of one Key Vault. Make one store per vault and keep it for the life of the process: it holds the client, and
 * with it the vault's challenge, and the limits, which count for the vault as a whole.
 *
 * Calls throw the problems of `keyVaultErrors.ts` and of the identity, and the signal's reason when that aborts.
 */
export function createKeyVaultStore(options: KeyVaultStoreOptions): SecretStore {
  return new KeyVaultStore(options);
}

/** How many operations a store remembers to have begun, at least: as many as a large tick writes; and at most twice that. */
const rememberedOperations = 10_000;

/**
 * Writes that are handed to the client at once: more than it sends at once. All others wait here, because a request that
 * waits for the vault's limits inside the client holds some 25 KB, and a tick may have thousands to write.
 */
const writesInClient = 64;

class KeyVaultStore implements SecretStore {
  readonly vault: string;
  readonly #options: KeyVaultStoreOptions;
  /**
   * Writes that took effect, or may have: whoever writes the same again looks first. A write that arrives only after that
   * look cannot be ruled out; the back-off before the look is there for it.
   */
  #mayExist = new Set<string>();
  /** Those before them. */
  #mayExistLonger = new Set<string>();
  readonly #writing = concurrencyLimit(writesInClient);
  #connection: Promise<VaultConnection> | undefined;

  constructor(options: KeyVaultStoreOptions) {
    this.vault = new URL(options.vault).origin;
    this.#options = options;
  }

  async inspect(names: readonly string[], context: CallContext): Promise<ReadonlyMap<string, SecretState>> {
    // Names of secrets compare without case.
    const missing = new Set(names.map(keyOf));
    const found = new Map<string, SecretState>();
    const shared = new SharedFacts();
    let stateOfMissing: (name: string) => SecretState | Promise<SecretState> = () => ({ kind: "absent" });
    try {
      await this.#call(context, async (client) => {
        for await (const properties of missing.size === 0 ? [] : client.listPropertiesOfSecrets()) {
          const key = keyOf(properties.name);
          if (missing.delete(key)) {
            found.set(key, { kind: "present", properties: shared.in(toProperties(properties)) });
            if (missing.size === 0) {
              return;
            }
          }
        }
      });
    } catch (error) {
      context.signal.throwIfAborted();
      const known = asRotatorError(error);
      // A condition on the names that a role covers forbids the listing as a whole, not what it would have shown.
      stateOfMissing =
        known.code === vaultProblems.VaultForbidden.code
          ? (name) => this.#inspectOne(name, context)
          : () => ({ kind: "unknown", error: known });
    }
    const states = new Map<string, SecretState>();
    const rest: string[] = [];
    for (const name of names) {
      const state = found.get(keyOf(name));
      if (state === undefined) {
        rest.push(name);
      } else {
        states.set(name, state);
      }
    }
    await Promise.all(rest.map(async (name) => states.set(name, await stateOfMissing(name))));
    return states;
  }

  async #inspectOne(name: string, context: CallContext): Promise<SecretState> {
    try {
      const [newest] = await this.listVersions(name, context);
      return newest === undefined ? { kind: "absent" } : { kind: "present", properties: newest };
    } catch (error) {
      context.signal.throwIfAborted();
      return { kind: "unknown", error: asRotatorError(error) };
    }
  }

  async read(name: string, context: CallContext, version?: string): Promise<StoredSecret | undefined> {
    checkName(name);
    const secret = await unlessNotFound(
      this.#call(context, (client) => client.getSecret(name, version === undefined ? {} : { version })),
    );
    return (
      secret && { value: new SecretValue(secret.value ?? ""), properties: toProperties(secret.properties) }
    );
  }

  async write(name: string, version: NewVersion, context: CallContext): Promise<SecretProperties> {
    checkName(name);
    checkVersion(name, version);
    const key = `${keyOf(name)} ${version.tags.operation}`;
    const attempt = async () => {
      const written =
        this.#mayExist.has(key) || this.#mayExistLonger.has(key)
          ? await this.#findOperation(name, version.tags.operation, context)
          : undefined;
      return written ?? (await this.#write(name, key, version, context));
    };
    return await retry(attempt, { clock: this.#options.clock, context });
  }

  async #write(
    name: string,
    key: string,
    { value, contentType, expiresOn, tags }: NewVersion,
    context: CallContext,
  ): Promise<SecretProperties> {
    try {
      const secret = await this.#writing(
        () =>
          this.#call(context, (client) =>
            client.setSecret(name, value.reveal(), {
              contentType,
              tags: { ...tags },
              ...(expiresOn === undefined ? {} : { expiresOn }),
            }),
          ),
        context.signal,
      );
      this.#remember(key);
      return toProperties(secret.properties);
    } catch (error) {
      // What ended otherwise than by an answer may have arrived all the same: an abort, for one.
      if (!(error instanceof RotatorError) || error.ambiguous) {
        this.#remember(key);
      }
      throw error;
    }
  }

  #remember(key: string): void {
    this.#mayExist.add(key);
    // Not the oldest one by one: a set that has lost thousands of its first elements searches for the next of them.
    if (this.#mayExist.size >= rememberedOperations) {
      this.#mayExistLonger = this.#mayExist;
      this.#mayExist = new Set();
    }
  }

  async #findOperation(
    name: string,
    operation: string,
    context: CallContext,
  ): Promise<SecretProperties | undefined> {
    return await unlessNotFound(
      this.#call(context, async (client) => {
        for await (const properties of client.listPropertiesOfSecretVersions(name)) {
          if (properties.tags?.operation === operation) {
            return toProperties(properties);
          }
        }
        return undefined;
      }),
    );
  }

  async replaceTags(
    name: string,
    tags: Readonly<Record<string, string>>,
    context: CallContext,
    version?: string,
  ): Promise<SecretProperties> {
    checkName(name);
    checkTags(name, tags);
    const target = version ?? (await this.#currentVersion(name, context));
    return await this.#call(context, async (client) =>
      toProperties(await client.updateSecretProperties(name, target, { tags: { ...tags } })),
    );
  }

  async #currentVersion(name: string, context: CallContext): Promise<string> {
    const [newest] = await this.listVersions(name, context);
    if (newest?.version === undefined) {
      throw new RotatorError(vaultProblems.SecretNotFound, { facts: { vault: this.vault, secret: name } });
    }
    return newest.version;
  }

  async listVersions(name: string, context: CallContext): Promise<readonly SecretProperties[]> {
    checkName(name);
    const versions = await unlessNotFound(
      this.#call(context, async (client) => {
        const found: SecretProperties[] = [];
        for await (const properties of client.listPropertiesOfSecretVersions(name)) {
          found.push(toProperties(properties));
        }
        return found;
      }),
    );
    return (versions ?? []).sort(newestFirst);
  }

  async disable(name: string, version: string, context: CallContext): Promise<void> {
    checkName(name);
    await this.#call(context, (client) => client.updateSecretProperties(name, version, { enabled: false }));
  }

  async #call<T>(context: CallContext, work: (client: SecretClient) => Promise<T>): Promise<T> {
    context.signal.throwIfAborted();
    try {
      const { client, transport } = await unlessAborted(context.signal, this.#connect());
      return await unlessAborted(
        context.signal,
        transport.within(context, () => work(client)),
      );
    } catch (error) {
      context.signal.throwIfAborted();
      throw clientError(this.vault, error);
    }
  }

  #connect(): Promise<VaultConnection> {
    const { connect = () => connectToVault(this.vault, this.#options) } = this.#options;
    this.#connection ??= connect().catch((error: unknown) => {
      // Not remembered: the next call tries again.
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }
}

async function unlessNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof RotatorError && error.code === vaultProblems.SecretNotFound.code) {
      return undefined;
    }
    throw error;
  }
}

function keyOf(name: string): string {
  return name.toLowerCase();
}

function toProperties(from: ClientProperties): SecretProperties {
  const { name, version, enabled = true, expiresOn, createdOn, contentType, tags = {} } = from;
  return {
    name,
    enabled,
    tags,
    ...(version === undefined ? {} : { version }),
    ...(expiresOn === undefined ? {} : { expiresOn }),
    ...(createdOn === undefined ? {} : { createdOn }),
    ...(contentType === undefined ? {} : { contentType }),
  };
}

/**
 * The vault lists versions in no order that means anything, and tells their creation in whole seconds. Of two in one second
 * the one that expires later is taken for the newer: that is what a renewal makes.
 */
function newestFirst(a: SecretProperties, b: SecretProperties): number {
  return time(b.createdOn) - time(a.createdOn) || time(b.expiresOn) - time(a.expiresOn);
}

function time(date: Date | undefined): number {
  return date?.getTime() ?? 0;
}
