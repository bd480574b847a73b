import { randomUUID } from "node:crypto";
import { checkClaims, subjectOf } from "./checks/claims.ts";
import { systemClock } from "./clock.ts";
import type {
  Configuration,
  ConsumerOptions,
  ExpectedClaims,
  FormatOptions,
  OutputConfiguration,
  ReadyRotation,
  RotationConfiguration,
  SourceConfiguration,
} from "./config/configuration.ts";
import { formatProblem } from "./config/problems.ts";
import { lazyConsumer } from "./consumers/lazyConsumer.ts";
import { consumers } from "./consumers/registry.ts";
import type { Engine } from "./core/engine.ts";
import type { ConsumerBinding, Output, Rotation, SourceBinding, TokenChecks } from "./core/rotation.ts";
import { formats } from "./formats/registry.ts";
import { chooseIdentity, type Identity, type IdentityCredential } from "./identity.ts";
import { createLeases } from "./leases/leases.ts";
import { safeFetch } from "./oauth/safeFetch.ts";
import type {
  ConsumerPlugin,
  FormatPlugin,
  ProbePlugin,
  SourceEnvironment,
  SourcePlugin,
} from "./plugins.ts";
import type { Clock, Consumer, SecretStore, Telemetry, TokenSource } from "./ports.ts";
import { probes } from "./probes/registry.ts";
import { Rotator } from "./rotator.ts";
import { sources } from "./sources/registry.ts";
import { createSourceSecrets } from "./sources/sourceSecrets.ts";
import { createKeyVaultStore } from "./stores/keyVault.ts";
import { version } from "./version.ts";

export interface Surroundings {
  /** As the platform sets it: identity, authority, resource manager, leases. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly telemetry: Telemetry;
  /** The machine's clock where absent. */
  readonly clock?: Clock;
}

/**
 * Joins a configuration with the adapters. This is the only place that makes credentials, SDK clients and stores; each is
 * made on first use and kept for the life of the process, so that an idle tick pays for nothing but the listing.
 */
export function compose(configuration: Configuration, surroundings: Surroundings): Rotator {
  const { environment, telemetry, clock = systemClock } = surroundings;
  const throttled = new Map<string, number>();
  const { credential, storeOf } = composeStores({ environment, clock }, (vault) =>
    throttled.set(vault, (throttled.get(vault) ?? 0) + 1),
  );
  const engine: Engine = {
    clock,
    storeOf,
    telemetry,
    takeThrottled: () => {
      const counts = [...throttled].map(([vault, count]) => ({ vault, count }));
      throttled.clear();
      return counts;
    },
    newOperation: randomUUID,
    version,
    configuration: configuration.hash,
    retryBudgetMs: configuration.retryBudgetMs,
  };
  const environmentOf = sourceEnvironments(configuration, { environment, clock }, { credential, storeOf });
  const consumerOf = consumersByTarget(configuration, (kind, bindings) =>
    plugin<ConsumerPlugin<ConsumerOptions>>(consumers, kind).create(bindings, {
      clock,
      credential,
      resourceManagerUrl: withoutTrailingSlash(
        environment.AZURE_RESOURCE_MANAGER_URL ?? "https://management.azure.com",
      ),
    }),
  );
  const parts: Parts = {
    sources: lazySources((source, rotation) => environmentOf(rotation).nested(source.options)),
    consumer: consumerOf,
    probe: (options) =>
      plugin<ProbePlugin<typeof options>>(probes, options.kind).create(options, {
        clock,
        fetch: safeFetch(),
      }),
  };
  const rotations = configuration.rotations.map((rotation) => toRotation(rotation, parts));
  return new Rotator(configuration, engine, rotations);
}

/** What the sources of each rotation are given; also for a command that does such a source's work by hand. */
export function sourceEnvironments(
  configuration: Configuration,
  { environment, clock = systemClock }: Pick<Surroundings, "environment" | "clock">,
  { credential, storeOf }: Pick<Stores, "credential" | "storeOf">,
): (rotation: string) => SourceEnvironment {
  const common = {
    clock,
    fetch: safeFetch(),
    credential,
    leases: createLeases({ environment, credential, clock }),
    configurationDirectory: configuration.directory,
    authorityHost: withoutTrailingSlash(
      environment.AZURE_AUTHORITY_HOST ?? "https://login.microsoftonline.com",
    ),
  };
  return (rotation) => {
    const own: SourceEnvironment = {
      ...common,
      secrets: createSourceSecrets({
        storeOf,
        defaultVault: configuration.vault,
        rotation,
        newOperation: randomUUID,
      }),
      nested: (options) => plugin<SourcePlugin<{ kind: string }>>(sources, options.kind).create(options, own),
      rotation,
    };
    return own;
  };
}

export interface Stores {
  readonly identity: Identity;
  readonly credential: () => Promise<IdentityCredential>;
  /** The same store for the same vault. */
  readonly storeOf: (vault: string) => SecretStore;
}

/** The vaults without the rotations, for whoever only reads them. */
export function composeStores(
  { environment, clock = systemClock }: Pick<Surroundings, "environment" | "clock">,
  onThrottled: (vault: string) => void = () => {},
): Stores {
  const identity = chooseIdentity(environment);
  const credential = once(identity.credential);
  const stores = new Map<string, SecretStore>();
  return {
    identity,
    credential,
    storeOf: (vault) => {
      const known = stores.get(vault);
      if (known !== undefined) {
        return known;
      }
      const store = createKeyVaultStore({
        vault,
        credential,
        clock,
        onThrottled: () => onThrottled(vault),
      });
      stores.set(vault, store);
      return store;
    },
  };
}

/** What the rotations of a configuration are joined with. */
export interface Parts {
  /** Binds the sources of the rotation of that name. */
  readonly sources: (sources: readonly SourceConfiguration[], rotation: string) => readonly SourceBinding[];
  readonly consumer: (options: ConsumerOptions) => Consumer;
  readonly probe: (
    options: NonNullable<ReadyRotation["probe"]>,
  ) => ReturnType<ProbePlugin<{ kind: string }>["create"]>;
}

export function toRotation(rotation: RotationConfiguration, parts: Parts): Rotation {
  if (rotation.state === "blocked") {
    return {
      name: rotation.name,
      sources: [],
      outputs: rotation.outputs.map((output) => ({ ...output, adopt: false, spec: "", load: unreachable })),
      consumers: [],
      timing: { floorMs: 0 },
      checks: { check: () => {}, subjectOf: () => undefined, subjectStated: false },
      faults: rotation.faults.map(formatProblem),
    };
  }
  const { name, expect, probe, marginMs, floorMs, budget, paused, retire } = rotation;
  return {
    name,
    sources: parts.sources(rotation.sources, name),
    outputs: rotation.outputs.map(toOutput),
    consumers: rotation.consumers.map(
      (options): ConsumerBinding => ({
        consumer: parts.consumer(options),
        output: options.output,
        secret: options.secret,
      }),
    ),
    timing: { floorMs, overdueMs: budget.overdueMs, ...(marginMs === undefined ? {} : { marginMs }) },
    checks: expect === undefined ? anyClaims : checksOf(expect),
    faults: rotation.faults,
    ...(probe === undefined ? {} : { probe: once(() => parts.probe(probe)) }),
    ...(paused === undefined ? {} : { paused }),
    ...(retire === undefined ? {} : { retire }),
  };
}

function checksOf(expect: ExpectedClaims): TokenChecks {
  return {
    check: (token, now) => checkClaims(token, expect, now),
    subjectOf,
    subjectStated: expect.subject !== undefined,
  };
}

const anyClaims = checksOf({});

/** Makes a source, for the first of the rotations that use it. */
export type MakeSource = (source: SourceConfiguration, rotation: string) => Promise<TokenSource>;

/** The sources of rotations, each made on first use; rotations with the very same ones share them. */
export function lazySources(make: MakeSource): Parts["sources"] {
  const known = new Map<readonly SourceConfiguration[], readonly SourceBinding[]>();
  return (sources, rotation) => {
    const bound = known.get(sources) ?? sources.map((source) => new LazySource(source, rotation, make));
    known.set(sources, bound);
    return bound;
  };
}

/** Made when somebody first asks for a token. A class, because many rotations would hold as many closures. */
class LazySource implements SourceBinding {
  readonly #source: SourceConfiguration;
  readonly #rotation: string;
  readonly #make: MakeSource;
  #made: Promise<TokenSource> | undefined;

  constructor(source: SourceConfiguration, rotation: string, make: MakeSource) {
    this.#source = source;
    this.#rotation = rotation;
    this.#make = make;
  }

  get kind(): string {
    return this.#source.kind;
  }

  get key(): string {
    return this.#source.key;
  }

  get refusedBeforeExpiryMs(): number {
    return this.#source.refusedBeforeExpiryMs;
  }

  load(): Promise<TokenSource> {
    this.#made ??= this.#make(this.#source, this.#rotation).catch((error: unknown) => {
      // Not remembered: the next one tries again.
      this.#made = undefined;
      throw error;
    });
    return this.#made;
  }
}

function toOutput({ secret, vault, adopt, spec, options }: OutputConfiguration): Output {
  return { secret, vault, adopt, spec, load: formatOf(options) };
}

/** One format for equal options, which the configuration shares: a format is pure, and thousands of outputs are `raw`. */
function formatOf(options: FormatOptions): Output["load"] {
  const known = madeFormats.get(options);
  if (known !== undefined) {
    return known;
  }
  const load = once(() => plugin<FormatPlugin<typeof options>>(formats, options.format).create(options));
  madeFormats.set(options, load);
  return load;
}

const madeFormats = new WeakMap<FormatOptions, Output["load"]>();

/** One consumer per target, made with every binding that any rotation has to it. */
export function consumersByTarget(
  configuration: Configuration,
  create: (kind: string, bindings: readonly ConsumerOptions[]) => Promise<Consumer>,
): (options: ConsumerOptions) => Consumer {
  const targetOf = (options: ConsumerOptions) =>
    plugin<ConsumerPlugin<ConsumerOptions>>(consumers, options.kind).target(options);
  const keyOf = (options: ConsumerOptions) => `${options.kind} ${targetOf(options)}`.toLowerCase();
  const all = configuration.rotations.flatMap((rotation) =>
    rotation.state === "ready" ? rotation.consumers : [],
  );
  const made = new Map<string, Consumer>();
  return (options) => {
    const key = keyOf(options);
    const known = made.get(key);
    if (known !== undefined) {
      return known;
    }
    const bindings = all.filter((other) => keyOf(other) === key);
    const consumer = lazyConsumer(
      options.kind,
      targetOf(options),
      once(() => create(options.kind, bindings)),
    );
    made.set(key, consumer);
    return consumer;
  };
}

/** The registries know their plug-ins' own options; here only the kind is known, and the schema has checked the rest. */
export function plugin<Plugin>(registry: object, kind: string): Plugin {
  return (registry as Record<string, unknown>)[kind] as Plugin;
}

/** Makes it once, however many ask. A failure is not remembered: the next one tries again. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}

function withoutTrailingSlash(url: string): string {
  return url.replace(/\/$/, "");
}

async function unreachable(): Promise<never> {
  throw new Error("a rotation whose configuration is at fault is never run");
}
