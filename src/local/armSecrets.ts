import { SecretValue } from "../secretValue.ts";
import { secretNameInvalid, secretNameTwice, secretNotResolved, secretsWithoutValue } from "./armRefusals.ts";
import { Refusal } from "./service.ts";

/** As it stands in `configuration.secrets`. */
export type ArmSecret = ValueSecret | ReferenceSecret;

export interface ValueSecret {
  readonly name: string;
  readonly value: SecretValue;
}

export interface ReferenceSecret {
  readonly name: string;
  readonly keyVaultUrl: string;
  /** `system`, or the resource id of a user-assigned identity. */
  readonly identity: string;
}

/** Reads a Key Vault secret for an app, as one of the app's identities. Throws a Refusal where that identity may not, or it is not there. */
export type ReadReference = (reference: ReferenceSecret) => SecretValue;

/**
 * The secrets of one app or job: as they are configured, and as containers get them. The second follows the first when an
 * update is done; a reference to Key Vault is resolved then, and later only by the platform's own cycle.
 */
export class ArmSecrets {
  #configured: readonly ArmSecret[];
  #values = new Map<string, SecretValue>();
  readonly #read: ReadReference;

  constructor(secrets: readonly ArmSecret[], read: ReadReference) {
    this.#read = read;
    this.#configured = secrets;
    this.#values = this.#resolve(secrets);
  }

  get configured(): readonly ArmSecret[] {
    return this.#configured;
  }

  /** What a container that starts now gets. */
  valueOf(name: string): SecretValue | undefined {
    return this.#values.get(name);
  }

  /** Replaces the configured secrets; containers get them from `take` on. */
  configure(secrets: readonly ArmSecret[]): void {
    this.#configured = secrets;
  }

  /** @throws Refusal where a reference cannot be resolved. */
  check(secrets: readonly ArmSecret[]): void {
    this.#resolve(secrets);
  }

  take(): void {
    this.#values = this.#resolve(this.#configured, this.#values);
  }

  get followsVault(): boolean {
    return this.#configured.some((secret) => isReference(secret) && !hasVersion(secret));
  }

  /** Reads references without a version again. A failure leaves the old value. Whether anything changed. */
  syncReferences(): boolean {
    const before = this.#values;
    this.#values = this.#resolve(this.#configured, before);
    return [...this.#values].some(([name, value]) => before.get(name)?.equals(value) !== true);
  }

  #resolve(
    secrets: readonly ArmSecret[],
    fallback?: ReadonlyMap<string, SecretValue>,
  ): Map<string, SecretValue> {
    return new Map(
      secrets.map((secret) => {
        if (!isReference(secret)) {
          return [secret.name, secret.value];
        }
        try {
          return [secret.name, this.#read(secret)];
        } catch (error) {
          if (!(error instanceof Refusal)) {
            throw error;
          }
          const old = fallback?.get(secret.name);
          if (old === undefined) {
            throw secretNotResolved(secret.name, secret.identity);
          }
          return [secret.name, old];
        }
      }),
    );
  }
}

/** Takes `configuration.secrets` of a request apart. */
export function parseSecrets(given: readonly unknown[]): ArmSecret[] {
  const secrets = given.map((item) => (item ?? {}) as Record<string, unknown>);
  const names = secrets.map(({ name }) => String(name ?? ""));
  for (const [index, name] of names.entries()) {
    if (!/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)) {
      throw secretNameInvalid(name);
    }
    if (names.indexOf(name) !== index) {
      throw secretNameTwice(name);
    }
  }
  const parsed = secrets.map(({ value, keyVaultUrl, identity }, index): ArmSecret | undefined => {
    const name = names[index] ?? "";
    if (
      typeof keyVaultUrl === "string" &&
      keyVaultUrl !== "" &&
      typeof identity === "string" &&
      identity !== ""
    ) {
      return { name, keyVaultUrl, identity };
    }
    return typeof value === "string" && value !== "" ? { name, value: new SecretValue(value) } : undefined;
  });
  const invalid = names.filter((_, index) => parsed[index] === undefined);
  if (invalid.length > 0) {
    throw secretsWithoutValue(invalid);
  }
  return parsed.filter((secret) => secret !== undefined);
}

export function isReference(secret: ArmSecret): secret is ReferenceSecret {
  return "keyVaultUrl" in secret;
}

function hasVersion({ keyVaultUrl }: ReferenceSecret): boolean {
  return /\/secrets\/[^/]+\/[^/]+\/?$/.test(new URL(keyVaultUrl).pathname);
}
