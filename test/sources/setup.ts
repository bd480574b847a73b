import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { SchemaDefinition } from "../../src/defineSchema.ts";
import { createLeases } from "../../src/leases/leases.ts";
import { type EmbeddedAzure, type EmbeddedAzureOptions, startEmbeddedAzure } from "../../src/local/azure.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import type { SourceEnvironment, SourcePlugin } from "../../src/plugins.ts";
import type { MintContext, TokenSource } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { sources } from "../../src/sources/registry.ts";
import { createSourceSecrets } from "../../src/sources/sourceSecrets.ts";
import { vault } from "../builders.ts";
import { MemoryStore } from "../fakes/memoryStore.ts";
import { credential } from "../local/support.ts";
import { VirtualClock } from "../virtualClock.ts";

/** What sources are made in: an embedded Azure that this process trusts, and a vault in memory. */
export interface Surroundings extends AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly clock: VirtualClock;
  readonly vault: MemoryStore;
  readonly environment: SourceEnvironment;
  /** Puts a secret into the vault. */
  store(name: string, text: string): void;
  /** Makes a source of options as they stand in the configuration. */
  source(
    options: { readonly kind: string } & Readonly<Record<string, unknown>>,
    overrides?: Partial<SourceEnvironment>,
  ): Promise<TokenSource>;
}

export async function surround(options: EmbeddedAzureOptions = {}): Promise<Surroundings> {
  const clock = new VirtualClock();
  const azure = await startEmbeddedAzure({ clock, ...options });
  const trust = azure.trustInThisProcess();
  const store = new MemoryStore(vault, clock);
  const source: Surroundings["source"] = (given, overrides = {}) => {
    const plugin = sources[given.kind as keyof typeof sources] as unknown as SourcePlugin<{ kind: string }>;
    return plugin.create(plugin.schema(z).parse(given), { ...environment, ...overrides });
  };
  const environment: SourceEnvironment = {
    clock,
    fetch: safeFetch(),
    credential: async () => credential(azure),
    secrets: createSourceSecrets({
      storeOf: () => store,
      defaultVault: vault,
      rotation: "app",
      newOperation: randomUUID,
    }),
    leases: createLeases({ environment: {}, credential: async () => credential(azure), clock }),
    nested: (nested) => source({ ...nested }),
    configurationDirectory: "",
    authorityHost: azure.issuer.url,
    rotation: "app",
  };
  return {
    azure,
    clock,
    vault: store,
    environment,
    store: (name, text) => store.seed(name, { value: new SecretValue(text), properties: {} }),
    source,
    [Symbol.asyncDispose]: async () => {
      trust[Symbol.dispose]();
      await azure.stop();
      assert.deepEqual(azure.requests.defects, []);
    },
  };
}

export function aMint(overrides: Partial<MintContext> = {}): MintContext {
  return { signal: new AbortController().signal, giveUpAt: 0, forced: false, ...overrides };
}

/** What a schema finds wrong with options: the path of each complaint. */
export function complaints(
  { schema }: { readonly schema: SchemaDefinition },
  options: Readonly<Record<string, unknown>>,
): readonly string[] {
  const { error } = schema(z).safeParse(options);
  return (error?.issues ?? []).map(({ path }) => path.join("."));
}
