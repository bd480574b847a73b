import type { HttpClient, PipelineRequest, PipelineResponse } from "@azure/core-rest-pipeline";
import type { SecretProperties as ClientProperties } from "@azure/keyvault-secrets";
import { retry } from "../core/retry.ts";
import { Refusal } from "../local/service.ts";
import { VaultSecrets, type VaultVersion, type VersionAttributes } from "../local/vaultSecrets.ts";
import type { SecretStore } from "../ports.ts";
import type { SecretValue } from "../secretValue.ts";
import { createKeyVaultStore } from "../stores/keyVault.ts";
import type { SecretClient } from "../stores/secretClient.ts";
import type { VaultConnection } from "../stores/vaultConnection.ts";
import { createVaultTransport, publishedLimits, type VaultTransport } from "../stores/vaultTransport.ts";
import { type Instance, NoAnswer } from "./instance.ts";
import type { World } from "./world.ts";

/** Versions that are kept per secret; a year makes more than memory should hold. */
const keptVersions = 100;

/** One Key Vault: its secrets with the service's rules, and those who want to know when they change. */
export class VaultModel {
  readonly url: string;
  readonly secrets: VaultSecrets;
  readonly #world: World;
  readonly #made = new Map<string, number>();
  readonly #touched = new Map<string, number>();

  constructor(world: World, url: string) {
    this.#world = world;
    this.url = url;
    this.secrets = new VaultSecrets(world.clock);
  }

  /** The current version, disabled or not; `undefined` where there is no such secret, or only a deleted one. */
  current(name: string): VaultVersion | undefined {
    try {
      return this.secrets.find(name);
    } catch (error) {
      if (error instanceof Refusal) {
        return undefined;
      }
      throw error;
    }
  }

  /** When a person last did something to the secret. Milliseconds since the epoch. */
  touchedAt(name: string): number {
    return this.#touched.get(name.toLowerCase()) ?? Number.NEGATIVE_INFINITY;
  }

  /** How many versions were ever made, by the names of the secrets in lower case. */
  get allMade(): ReadonlyMap<string, number> {
    return this.#made;
  }

  /** `by`: the instance that writes; absent for a person. */
  write(
    name: string,
    value: string | SecretValue,
    attributes: VersionAttributes,
    by?: Instance,
  ): VaultVersion {
    const previous = this.current(name);
    const version = this.secrets.set(name, value, attributes);
    if (by === undefined) {
      this.#touch(name);
    }
    const made = (this.#made.get(name.toLowerCase()) ?? 0) + 1;
    this.#made.set(name.toLowerCase(), made);
    if (made > keptVersions) {
      this.secrets.trim(name, keptVersions);
    }
    this.#world.versionWritten({ vault: this, name, previous, version, by });
    return version;
  }

  update(name: string, attributes: VersionAttributes, version?: string, by?: Instance): VaultVersion {
    const updated = this.secrets.update(name, attributes, version);
    if (by === undefined) {
      this.#touch(name);
    }
    this.#world.secretChanged(this, name);
    return updated;
  }

  delete(name: string): void {
    this.secrets.delete(name);
    this.#touch(name);
  }

  recover(name: string): void {
    this.secrets.recover(name);
    this.#touch(name);
    this.#world.secretChanged(this, name);
  }

  purge(name: string): void {
    this.secrets.purge(name);
    this.#touch(name);
  }

  #touch(name: string): void {
    this.#touched.set(name.toLowerCase(), this.#world.clock.now());
  }
}

/** The product's own store over the model, as one instance has it. */
export function storeOver(
  vault: VaultModel,
  instance: Instance,
  signIn: () => Promise<void>,
  onThrottled: () => void,
): SecretStore {
  return createKeyVaultStore({
    vault: vault.url,
    credential: neverAsked,
    clock: instance.clock,
    connect: async () => connection(vault, instance, signIn, onThrottled),
  });
}

async function neverAsked(): Promise<never> {
  throw new Error("the model signs in by itself");
}

/** The product's own transport (limits, retries, the meaning of every answer) with the model at its other end. */
function connection(
  vault: VaultModel,
  instance: Instance,
  signIn: () => Promise<void>,
  onThrottled: () => void,
): VaultConnection {
  const send: HttpClient = {
    sendRequest: async (request) => await (request as ModelRequest).arrive(request),
  };
  const transport = createVaultTransport({
    send,
    clock: instance.clock,
    limits: publishedLimits,
    onThrottled,
  });
  return {
    // Of the SDK's client, the store uses these methods.
    client: new ModelClient(vault, instance, transport, signIn) as unknown as SecretClient,
    transport,
  };
}

/** A request that knows what it does when it arrives, so that nothing need be written as JSON and read again. */
interface ModelRequest extends PipelineRequest {
  readonly arrive: (request: PipelineRequest) => Promise<PipelineResponse>;
}

interface ModelResponse extends PipelineResponse {
  readonly result: unknown;
}

/** A listing gives so many secrets or versions a call. */
const pageSize = 25;

class ModelClient {
  readonly #vault: VaultModel;
  readonly #instance: Instance;
  readonly #transport: VaultTransport;
  readonly #signIn: () => Promise<void>;

  constructor(vault: VaultModel, instance: Instance, transport: VaultTransport, signIn: () => Promise<void>) {
    this.#vault = vault;
    this.#instance = instance;
    this.#transport = transport;
    this.#signIn = signIn;
  }

  async *listPropertiesOfSecrets(): AsyncGenerator<ClientProperties> {
    const { secrets } = this.#vault;
    for (let after = ""; ; ) {
      const page = await this.#request("GET", "/secrets", "listSecrets", () => secrets.list(after, pageSize));
      for (const { name, current } of page) {
        yield propertiesOf(name, current);
      }
      const last = page.at(-1);
      if (page.length < pageSize || last === undefined) {
        return;
      }
      after = last.name;
    }
  }

  async *listPropertiesOfSecretVersions(name: string): AsyncGenerator<ClientProperties> {
    const { secrets } = this.#vault;
    for (let from = 0; ; from += pageSize) {
      const page = await this.#request("GET", `/secrets/${name}/versions`, "listVersions", () => {
        // The service answers 404 for what it does not know.
        secrets.find(name);
        return secrets.versions(name).slice(from, from + pageSize);
      });
      for (const version of page) {
        yield { ...propertiesOf(name, version), version: version.id };
      }
      if (page.length < pageSize) {
        return;
      }
    }
  }

  async getSecret(name: string, { version }: { version?: string } = {}): Promise<unknown> {
    const found = await this.#request("GET", `/secrets/${name}`, "getSecret", () =>
      this.#vault.secrets.get(name, version),
    );
    return {
      name,
      value: found.value.reveal(),
      properties: { ...propertiesOf(name, found), version: found.id },
    };
  }

  async setSecret(
    name: string,
    value: string,
    {
      contentType,
      tags,
      expiresOn,
    }: { contentType?: string; tags?: Record<string, string>; expiresOn?: Date },
  ): Promise<unknown> {
    const written = await this.#request("PUT", `/secrets/${name}`, "setSecret", () =>
      this.#vault.write(
        name,
        value,
        {
          ...(contentType === undefined ? {} : { contentType }),
          ...(tags === undefined ? {} : { tags }),
          ...(expiresOn === undefined ? {} : { expires: Math.floor(expiresOn.getTime() / 1000) }),
        },
        this.#instance,
      ),
    );
    return { properties: { ...propertiesOf(name, written), version: written.id } };
  }

  async updateSecretProperties(name: string, version: string, attributes: VersionAttributes) {
    const updated = await this.#request("PATCH", `/secrets/${name}/${version}`, "updateSecret", () =>
      this.#vault.update(name, attributes, version, this.#instance),
    );
    return { ...propertiesOf(name, updated), version };
  }

  async #request<T>(method: string, path: string, operation: string, effect: () => T): Promise<T> {
    const { clock } = this.#instance;
    await retry(this.#signIn, { clock, context: this.#transport.context() });
    const { url } = this.#vault;
    const request = {
      method,
      url: `${url}${path}`,
      arrive: (made: PipelineRequest) =>
        answered(made, () =>
          this.#instance.call({ service: "vault", operation, target: url, about: path }, effect),
        ),
    };
    const response = await this.#transport.httpClient.sendRequest(request as unknown as ModelRequest);
    return (response as ModelResponse).result as T;
  }
}

/** The result as an HTTP client would hand it over. */
async function answered(request: PipelineRequest, call: () => Promise<unknown>): Promise<PipelineResponse> {
  try {
    return response(request, 200, { result: await call() });
  } catch (error) {
    if (error instanceof Refusal) {
      return response(request, error.reply.status, { bodyAsText: JSON.stringify(error.reply.body) });
    }
    if (error instanceof NoAnswer && error.status !== undefined) {
      return response(request, error.status, { retryAfterSeconds: error.retryAfterSeconds });
    }
    throw error;
  }
}

function response(
  request: PipelineRequest,
  status: number,
  more: { result?: unknown; bodyAsText?: string; retryAfterSeconds?: number | undefined },
): PipelineResponse {
  const { result, bodyAsText = "", retryAfterSeconds } = more;
  const headers: Readonly<Record<string, string | undefined>> = {
    "content-type": "application/json",
    "retry-after": retryAfterSeconds === undefined ? undefined : String(retryAfterSeconds),
  };
  return {
    request,
    status,
    headers: { get: (name: string) => headers[name.toLowerCase()] },
    bodyAsText,
    result,
  } as unknown as PipelineResponse;
}

const converted = new WeakMap<VaultVersion, ClientProperties>();

/** As a listing has them: without the version. */
function propertiesOf(name: string, version: VaultVersion): ClientProperties {
  const known = converted.get(version);
  if (known !== undefined) {
    return known;
  }
  const { enabled, expires, created, contentType, tags } = version;
  const properties = {
    name,
    enabled,
    tags: { ...tags },
    createdOn: new Date(created * 1000),
    ...(expires === undefined ? {} : { expiresOn: new Date(expires * 1000) }),
    ...(contentType === undefined ? {} : { contentType }),
  } as ClientProperties;
  converted.set(version, properties);
  return properties;
}
