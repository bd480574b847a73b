import { type FreshnessBudget, freshnessBudget, type ReaderPath } from "./budget.ts";
import { shortHash } from "./canonical.ts";
import type {
  KubernetesDelivery,
  OutputConfiguration,
  ReadyRotation,
  SourceConfiguration,
  SourceOptions,
} from "./configuration.ts";
import { outputsOfFile } from "./delivery.ts";
import { parseDuration } from "./duration.ts";
import { vaultOrigin } from "./fields.ts";
import type { Registries } from "./registries.ts";
import type { OutputOptions, RotationOptions } from "./schema.ts";

/** What the rotations take from the top of the document. */
export interface Surroundings {
  readonly vault: string;
  readonly tickMs: number;
  readonly retryBudgetMs: number;
}

const none: readonly [] = [];

type Kubernetes = NonNullable<RotationOptions["kubernetes"]>;

/** What could be read of a rotation: all of it, or the fields that have no fault. */
export type RotationFields = {
  readonly [Field in keyof RotationOptions]?: RotationOptions[Field] | undefined;
};

/** What the CSI driver's poll interval leaves out: the kubelet's own round until the file is in the pod. */
const kubeletMs = 180_000;
const defaultPropagationMs = 300_000;

/**
 * One value for all that are equal. Thousands of rotations differ in little more than their names, and would hold
 * thousands of copies of the rest.
 */
export class Shared {
  readonly #values = new Map<string, unknown>();

  /** Of plain values, which nobody changes any more. */
  of<Value>(value: Value): Value {
    const text = JSON.stringify(value);
    if (!this.#values.has(text)) {
      this.#values.set(text, value);
    }
    return this.#values.get(text) as Value;
  }
}

/** The sources, with the vault in every secret reference, so that equal sources are equal however they are written. */
export function resolveSources(
  { source, lifetime }: RotationFields,
  { sources }: Registries,
  { vault }: Surroundings,
): readonly SourceConfiguration[] {
  return listOf(source).map((written) => {
    const plugin = pluginOf(sources, written.kind);
    const options = withVaults(
      written,
      plugin.secrets(written).map(({ path }) => path),
      vault,
    );
    return {
      kind: options.kind,
      options,
      key: shortHash(options, 16),
      lifetimeMs: milliseconds(lifetime) ?? plugin.lifetimeMs(options),
      refusedBeforeExpiryMs: plugin.refusedBeforeExpiryMs?.(options) ?? 0,
    };
  });
}

export function resolveBudget(
  fields: RotationFields,
  sources: readonly SourceConfiguration[],
  registries: Registries,
  { tickMs, retryBudgetMs }: Surroundings,
): ReturnType<typeof freshnessBudget> {
  return freshnessBudget({
    lifetimeMs: shortestLifetime(sources),
    marginMs: milliseconds(fields.margin),
    tickMs,
    retryBudgetMs,
    refusedBeforeExpiryMs: Math.max(...sources.map(({ refusedBeforeExpiryMs }) => refusedBeforeExpiryMs)),
    paths: readerPaths(fields, registries),
  });
}

export function resolveRotation(
  name: string,
  options: RotationOptions,
  sources: readonly SourceConfiguration[],
  budget: FreshnessBudget,
  { vault }: Surroundings,
  shared: Shared,
): ReadyRotation {
  const { margin, expect, probe, paused, kubernetes, retire } = options;
  const until = typeof paused === "object" ? { until: Date.parse(paused.until) } : {};
  return {
    state: "ready",
    name,
    faults: none,
    sources: shared.of(sources),
    outputs: options.outputs.map((output) => resolveOutput(output, sources, vault, shared)),
    consumers: options.consumers.length === 0 ? none : options.consumers,
    floorMs: budget.floorMs,
    lifetimeMs: shortestLifetime(sources),
    budget: shared.of(budget),
    files: options.files ?? none,
    ...(margin === undefined ? {} : { marginMs: budget.marginMs }),
    ...(expect === undefined
      ? {}
      : {
          expect: {
            ...expect,
            audience: expect.audience === undefined ? undefined : listOf(expect.audience),
          },
        }),
    ...(probe === undefined ? {} : { probe }),
    ...(paused === undefined || paused === false ? {} : { paused: until }),
    ...(kubernetes === undefined ? {} : { kubernetes: resolveKubernetes(kubernetes, options.outputs) }),
    ...(retire === undefined
      ? {}
      : { retire: { graceMs: milliseconds(retire.grace) ?? 0, keep: retire.keep } }),
  };
}

/** The plug-in of that name; the schema has let only known names through. */
export function pluginOf<Plugin>(registry: Readonly<Record<string, Plugin>>, name: string): Plugin {
  const plugin = registry[name];
  if (plugin === undefined) {
    throw new TypeError(`The registry has no ${name}.`);
  }
  return plugin;
}

export function listOf<Value>(value: Value | readonly Value[] | undefined): readonly Value[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value as Value];
}

/** The origin of the vault that is named, or the configuration's. */
export function vaultOr(named: string | undefined, vault: string): string {
  return named === undefined ? vault : vaultOrigin(named);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function withVaults(
  options: SourceOptions,
  references: readonly (readonly string[])[],
  vault: string,
): SourceOptions {
  const resolved = structuredClone(options);
  for (const path of references) {
    const reference = path.reduce<unknown>(
      (value, key) => (isObject(value) ? value[key] : undefined),
      resolved,
    );
    // A plug-in may also name a secret that its options leave to a default.
    if (isObject(reference)) {
      reference.vault = vaultOr(reference.vault as string | undefined, vault);
    }
  }
  return resolved;
}

function resolveOutput(
  { secret, vault: named, adopt, ...options }: OutputOptions,
  sources: readonly SourceConfiguration[],
  vault: string,
  shared: Shared,
): OutputConfiguration {
  const spec = shortHash([options, sources.map(({ key }) => key)], 16);
  return { secret, vault: vaultOr(named, vault), adopt, options: shared.of(options), spec: shared.of(spec) };
}

function resolveKubernetes(
  { pollInterval, objects, ...kubernetes }: Kubernetes,
  outputs: readonly OutputOptions[],
): KubernetesDelivery {
  return {
    ...kubernetes,
    pollIntervalMs: milliseconds(pollInterval) ?? 0,
    objects: objects.length > 0 ? objects : outputs.map(({ secret }) => ({ output: secret })),
  };
}

/** Everybody who reads an output, and how long a new version takes to reach them. */
function readerPaths(fields: RotationFields, { consumers: plugins }: Registries): readonly ReaderPath[] {
  // Where the outputs have a fault, there is still somebody who reads the vault.
  const { kubernetes, propagation, consumers = [], files = [], outputs = [{ secret: "" }] } = fields;
  const position = (name: string) => outputs.findIndex(({ secret }) => secret === name);
  const polledMs =
    kubernetes === undefined ? undefined : (milliseconds(kubernetes.pollInterval) ?? 0) + kubeletMs;
  const vaultMs = milliseconds(propagation) ?? polledMs ?? defaultPropagationMs;
  return [
    ...outputs.map((_, output) => ({ output, reader: none, propagationMs: vaultMs })),
    ...consumers.map((options, index) => ({
      output: position(options.output),
      reader: ["consumers", index],
      propagationMs: pluginOf(plugins, options.kind).propagationMs(options),
    })),
    ...files.flatMap((file, index) =>
      outputsOfFile(file).map(([, output]) => ({
        output: position(output),
        reader: ["files", index],
        propagationMs: vaultMs,
      })),
    ),
  ];
}

function shortestLifetime(sources: readonly SourceConfiguration[]): number {
  return Math.min(...sources.map(({ lifetimeMs }) => lifetimeMs));
}

function milliseconds(duration: string | undefined): number | undefined {
  return duration === undefined ? undefined : parseDuration(duration);
}
