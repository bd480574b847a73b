import { consumersByTarget, lazySources, toRotation } from "../compose.ts";
import type {
  Configuration,
  ConsumerOptions,
  ReadyRotation,
  SourceConfiguration,
} from "../config/configuration.ts";
import { registries } from "../config/registries.ts";
import { pluginOf } from "../config/resolve.ts";
import type { ContainerAppOptions } from "../consumers/containerApp.ts";
import { containerAppConsumer } from "../consumers/containerApp.ts";
import type { AppHolder } from "../consumers/containerAppApi.ts";
import { type ContainerAppJobOptions, containerAppJobConsumer } from "../consumers/containerAppJob.ts";
import type { Engine } from "../core/engine.ts";
import type { Rotation } from "../core/rotation.ts";
import type { SourceEnvironment } from "../plugins.ts";
import type { Consumer, SecretStore, Telemetry, TokenSource } from "../ports.ts";
import { createSourceSecrets } from "../sources/sourceSecrets.ts";
import { version } from "../version.ts";
import { holderOver } from "./appModel.ts";
import { credentialOf, vaultScope } from "./identityModel.ts";
import type { Instance } from "./instance.ts";
import { modelledSource } from "./modelledSource.ts";
import { fetchOver } from "./providerModel.ts";
import { storeOver } from "./vaultModel.ts";
import type { World } from "./world.ts";

/** Parts to be put in place of the product's own, for those who want to see the invariants fail. */
export interface Replacements {
  readonly store?: (store: SecretStore) => SecretStore;
  readonly source?: (source: TokenSource, kind: string) => TokenSource;
  /** The way to an app. */
  readonly holder?: (holder: AppHolder) => AppHolder;
  readonly rotation?: (rotation: Rotation) => Rotation;
  readonly telemetry?: (telemetry: Telemetry) => Telemetry;
}

export interface JoinOptions {
  readonly world: World;
  readonly instance: Instance;
  readonly configuration: Configuration;
  readonly telemetry: Telemetry;
  /** Whom the instance runs as. */
  readonly subject: string;
  /**
   * `modelled`: tokens of any source come from a model that only knows how long they live. `real`: the product's own
   * sources, with models of the identity and the providers at their other ends.
   */
  readonly sources: "modelled" | "real";
  readonly replacements: Replacements;
  readonly newOperation: () => string;
}

/** What `compose` is for the real world: the product's parts over the models, for one instance. */
export function join(options: JoinOptions): {
  readonly engine: Engine;
  readonly rotations: readonly Rotation[];
} {
  const { world, instance, configuration, replacements, newOperation } = options;
  const { clock } = instance;
  const credential = credentialOf(world, instance, options.subject);
  const throttled = new Map<string, number>();
  const stores = new Map<string, SecretStore>();
  const storeOf = (url: string): SecretStore => {
    const known = stores.get(url);
    if (known !== undefined) {
      return known;
    }
    const made = storeOver(
      world.vault(url),
      instance,
      async () => void (await credential.getToken(vaultScope)),
      () => throttled.set(url, (throttled.get(url) ?? 0) + 1),
    );
    const store = replacements.store?.(made) ?? made;
    stores.set(url, store);
    return store;
  };
  const telemetry = replacements.telemetry?.(options.telemetry) ?? options.telemetry;
  const engine: Engine = {
    clock,
    storeOf,
    telemetry,
    takeThrottled: () => {
      const counts = [...throttled].map(([vault, count]) => ({ vault, count }));
      throttled.clear();
      return counts;
    },
    newOperation,
    version,
    configuration: configuration.hash,
    retryBudgetMs: configuration.retryBudgetMs,
  };
  const fetch = fetchOver(world, instance);
  const secretsOf = (rotation: string) =>
    createSourceSecrets({ storeOf, defaultVault: configuration.vault, rotation, newOperation });
  const realSource = async (rotation: string, source: { readonly kind: string }): Promise<TokenSource> => {
    const environment: SourceEnvironment = {
      clock,
      fetch,
      credential: async () => credential,
      secrets: secretsOf(rotation),
      leases: world.leases.of(instance),
      nested: (nested) => realSource(rotation, nested),
      configurationDirectory: configuration.directory,
      authorityHost: "https://login.microsoftonline.com",
      rotation,
    };
    return await pluginOf(registries.sources, source.kind).create(source, environment);
  };
  const sourceOf = async (rotation: ReadyRotation, source: SourceConfiguration): Promise<TokenSource> => {
    const made =
      options.sources === "real"
        ? await realSource(rotation.name, source.options)
        : modelledSource(world, instance, rotation, source, secretsOf(rotation.name));
    return replacements.source?.(made, source.kind) ?? made;
  };
  const consumerOf = consumersByTarget(configuration, async (kind, bindings) =>
    consumerOver(options, kind, bindings),
  );
  const rotations = configuration.rotations.map((configured) => {
    const rotation = toRotation(configured, {
      sources: lazySources((source) => sourceOf(configured as ReadyRotation, source)),
      consumer: consumerOf,
      probe: async () => ({ probe: async () => {} }),
    });
    return replacements.rotation?.(rotation) ?? rotation;
  });
  return { engine, rotations };
}

function consumerOver(
  { world, instance, replacements }: JoinOptions,
  kind: string,
  bindings: readonly ConsumerOptions[],
): Consumer {
  const id = String(bindings[0]?.app ?? bindings[0]?.job ?? "");
  const model = world.findApp(id);
  if (model === undefined) {
    throw new RangeError(`The model has no ${id}.`);
  }
  const made = holderOver(world, model, instance);
  const holder = replacements.holder?.(made) ?? made;
  return kind === "container-app-job"
    ? containerAppJobConsumer(
        bindings as unknown as readonly ContainerAppJobOptions[],
        holder,
        instance.clock,
      )
    : containerAppConsumer(bindings as unknown as readonly ContainerAppOptions[], holder, instance.clock);
}
