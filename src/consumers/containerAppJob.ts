import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { asRotatorError } from "../errors.ts";
import type { ConsumerEnvironment, ConsumerPlugin } from "../plugins.ts";
import type { CallContext, Consumer, ConsumerReport, ConsumerState, WantedSecret } from "../ports.ts";
import { jobHolder, type SecretHolder } from "./containerAppApi.ts";
import { failureOf } from "./containerAppProblems.ts";
import { checkIdentity, deliveryFields } from "./deliveryFields.ts";
import { jobId } from "./resourceId.ts";
import { compareSecrets } from "./secretComparison.ts";
import { settled, updateMs, updateSecrets } from "./secretUpdate.ts";
import { Turns } from "./turns.ts";

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z.literal("container-app-job").describe("An Azure Container Apps job."),
      job: jobId(z).describe("Resource id of the job; it may be in any resource group or subscription."),
      ...deliveryFields(z),
    })
    .check(checkIdentity),
);

export type ContainerAppJobOptions = SchemaOutput<typeof schema>;

export const containerAppJob: ConsumerPlugin<ContainerAppJobOptions> = {
  schema,
  target: ({ job }) => job,
  // The job's update. An execution that has begun keeps the value that it began with.
  propagationMs: () => 3 * 60_000,
  create: async (bindings, environment) => {
    const holder = jobHolder(bindings[0]?.job ?? "", environment);
    return containerAppJobConsumer(bindings, holder, environment.clock);
  },
};

/** The consumer over any way to reach the job. */
export function containerAppJobConsumer(
  bindings: readonly ContainerAppJobOptions[],
  holder: SecretHolder,
  clock: ConsumerEnvironment["clock"],
): Consumer {
  return new ContainerAppJobConsumer(bindings, holder, clock);
}

/** Every execution starts containers of its own, so an update of the secret is all there is to do. */
class ContainerAppJobConsumer implements Consumer {
  readonly kind = "container-app-job";
  readonly target: string;
  readonly #bindings: readonly ContainerAppJobOptions[];
  readonly #holder: SecretHolder;
  readonly #clock: ConsumerEnvironment["clock"];
  readonly #turns = new Turns();

  constructor(
    bindings: readonly ContainerAppJobOptions[],
    holder: SecretHolder,
    clock: ConsumerEnvironment["clock"],
  ) {
    this.target = bindings[0]?.job ?? "";
    this.#bindings = bindings;
    this.#clock = clock;
    this.#holder = holder;
  }

  async inspect(wanted: readonly WantedSecret[], context: CallContext): Promise<ConsumerState> {
    try {
      const state = await this.#holder.read(context);
      const { behind, refused, errors } = compareSecrets(state, wanted, this.target, this.#bindings);
      const names = [...behind, ...refused].map(({ secret }) => secret);
      return { state: names.length === 0 ? "current" : "behind", ...failureOf(errors), behind: names };
    } catch (error) {
      context.signal.throwIfAborted();
      return { state: "unknown", behind: [], error: asRotatorError(error, "propagate") };
    }
  }

  reconcile(wanted: readonly WantedSecret[], context: CallContext): Promise<ConsumerReport> {
    return this.#turns.take(async () => {
      const progress = { updated: 0, restarted: false, behind: wanted.map(({ secret }) => secret) };
      try {
        const run = { holder: this.#holder, bindings: this.#bindings, clock: this.#clock, context };
        const state = await settled(run, updateMs);
        const { behind, refused, errors } = compareSecrets(state, wanted, this.target, this.#bindings);
        const update = await updateSecrets(run, state, behind);
        progress.updated = update.written;
        const open = [...behind, ...refused].filter(({ secret }) => !update.updated.includes(secret));
        progress.behind = open.map(({ secret }) => secret);
        const failures = update.failure === undefined ? [] : [update.failure];
        return { ...progress, state: "current", ...failureOf([...failures, ...errors, ...update.errors]) };
      } catch (error) {
        context.signal.throwIfAborted();
        return { ...progress, state: "failed", error: asRotatorError(error, "propagate") };
      }
    });
  }
}
