import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type {
  CallContext,
  Consumer,
  ConsumerReport,
  ConsumerState,
  SecretStore,
  WantedSecret,
} from "../ports.ts";
import type { Written } from "./publish.ts";
import type { ConsumerBinding, Rotation, States } from "./rotation.ts";
import { outputKey } from "./rotation.ts";
import { belongsTo } from "./tags.ts";

const propagateProblems = problems({
  VersionMoved: {
    message: "The secret changed in the vault while it was on its way to the consumer.",
    remedy: "Nothing to do: the next tick takes the newer version.",
    retryable: true,
  },
});

/** One target with every rotation that feeds it. */
export interface Target {
  readonly consumer: Consumer;
  readonly bindings: readonly { readonly rotation: Rotation; readonly binding: ConsumerBinding }[];
}

/** Every target once, however many rotations feed it. */
export function targetsOf(rotations: readonly Rotation[]): Target[] {
  const targets = new Map<Consumer, { rotation: Rotation; binding: ConsumerBinding }[]>();
  for (const rotation of rotations) {
    for (const binding of rotation.consumers) {
      const bindings = targets.get(binding.consumer) ?? [];
      bindings.push({ rotation, binding });
      targets.set(binding.consumer, bindings);
    }
  }
  return [...targets].map(([consumer, bindings]) => ({ consumer, bindings }));
}

/**
 * What a target should hold: the current version of every output that feeds it. An output that is missing, disabled,
 * somebody else's, or whose state is unknown is left out, and with it the consumer's secret is left as it is.
 */
export function wantedOf(
  target: Target,
  states: States,
  written: ReadonlyMap<string, Written>,
  storeOf: (vault: string) => SecretStore,
): WantedSecret[] {
  return target.bindings.flatMap(({ rotation, binding }) => {
    const output = rotation.outputs.find(({ secret }) => secret === binding.output);
    const state = output && states.get(outputKey(output));
    if (output === undefined || state?.kind !== "present") {
      return [];
    }
    const { properties } = state;
    const { operation } = properties.tags;
    if (!properties.enabled || !belongsTo(properties, rotation.name) || operation === undefined) {
      return [];
    }
    const fresh = written.get(outputKey(output));
    const moved = () =>
      new RotatorError(propagateProblems.VersionMoved, { facts: { secret: output.secret } });
    const load: WantedSecret["load"] = async (context) => {
      if (fresh !== undefined) {
        return fresh.value;
      }
      const stored = await storeOf(output.vault).read(output.secret, context);
      if (stored?.properties.tags.operation !== operation) {
        throw moved();
      }
      return stored.value;
    };
    const version: WantedSecret["version"] = async (context) => {
      const versions = fresh
        ? [fresh.properties]
        : await storeOf(output.vault).listVersions(output.secret, context);
      const found = versions.find(({ tags }) => tags.operation === operation)?.version;
      if (found === undefined) {
        throw moved();
      }
      return found;
    };
    return [
      {
        rotation: rotation.name,
        output: output.secret,
        vault: output.vault,
        secret: binding.secret,
        operation,
        load,
        version,
      },
    ];
  });
}

/** Brings one target up to date. A consumer that throws is reported as failed: the others go on. */
export async function reconcile(
  target: Target,
  wanted: readonly WantedSecret[],
  context: CallContext,
): Promise<ConsumerReport> {
  if (wanted.length === 0) {
    return { state: "current", behind: [], updated: 0, restarted: false };
  }
  try {
    return await target.consumer.reconcile(wanted, context);
  } catch (error) {
    context.signal.throwIfAborted();
    return {
      state: "failed",
      behind: wanted.map(({ secret }) => secret),
      updated: 0,
      restarted: false,
      error: asRotatorError(error, "propagate"),
    };
  }
}

/** Compares one target without changing it. */
export async function inspect(
  target: Target,
  wanted: readonly WantedSecret[],
  context: CallContext,
): Promise<ConsumerState> {
  if (wanted.length === 0) {
    return { state: "current", behind: [] };
  }
  try {
    return await target.consumer.inspect(wanted, context);
  } catch (error) {
    context.signal.throwIfAborted();
    return { state: "unknown", behind: [], error: asRotatorError(error, "propagate") };
  }
}
