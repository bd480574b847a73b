import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { asRotatorError, RotatorError } from "../errors.ts";
import type { ConsumerEnvironment, ConsumerPlugin } from "../plugins.ts";
import type { CallContext, Consumer, ConsumerReport, ConsumerState, WantedSecret } from "../ports.ts";
import { type AppHolder, appHolder } from "./containerAppApi.ts";
import type { Assessment } from "./containerAppPlan.ts";
import { consumerProblems, failureOf } from "./containerAppProblems.ts";
import { checkIdentity, deliveryFields } from "./deliveryFields.ts";
import { containerAppId } from "./resourceId.ts";
import { RestartRun } from "./restartRun.ts";
import { compareSecrets, isSentBefore } from "./secretComparison.ts";
import { settled, type UpdateRun, updateMs, updateSecrets } from "./secretUpdate.ts";
import { Turns } from "./turns.ts";

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z.literal("container-app").describe("An Azure Container App."),
      app: containerAppId(z).describe(
        "Resource id of the app; it may be in any resource group or subscription.",
      ),
      ...deliveryFields(z),
      restart: z
        .enum(["revision-restart", "new-revision", "none"])
        .default("revision-restart")
        .describe(
          "How running containers get the new value. revision-restart: every active revision is restarted. new-revision: a new revision replaces the old one once it is ready. none: the app reads it again by itself. Default revision-restart.",
        ),
    })
    .check(checkIdentity),
);

export type ContainerAppOptions = SchemaOutput<typeof schema>;

/** From the vault's new version to containers that hold it: the app's update, then the platform's replacing. */
const propagationMs = { "revision-restart": 5 * 60_000, "new-revision": 10 * 60_000, none: 3 * 60_000 };

export const containerApp: ConsumerPlugin<ContainerAppOptions> = {
  schema,
  target: ({ app }) => app,
  propagationMs: ({ restart }) => propagationMs[restart],
  create: async (bindings, environment) => {
    const holder = appHolder(bindings[0]?.app ?? "", environment);
    return containerAppConsumer(bindings, holder, environment.clock);
  },
};

/** The consumer over any way to reach the app. */
export function containerAppConsumer(
  bindings: readonly ContainerAppOptions[],
  holder: AppHolder,
  clock: ConsumerEnvironment["clock"],
): Consumer {
  return new ContainerAppConsumer(bindings, holder, clock);
}

class ContainerAppConsumer implements Consumer {
  readonly kind = "container-app";
  readonly target: string;
  readonly #bindings: readonly ContainerAppOptions[];
  readonly #holder: AppHolder;
  readonly #clock: ConsumerEnvironment["clock"];
  readonly #turns = new Turns();

  constructor(
    bindings: readonly ContainerAppOptions[],
    holder: AppHolder,
    clock: ConsumerEnvironment["clock"],
  ) {
    this.target = bindings[0]?.app ?? "";
    this.#bindings = bindings;
    this.#clock = clock;
    this.#holder = holder;
  }

  async inspect(wanted: readonly WantedSecret[], context: CallContext): Promise<ConsumerState> {
    try {
      const state = await this.#holder.read(context);
      const { behind, refused, errors } = compareSecrets(state, wanted, this.target, this.#bindings);
      const names = [...behind, ...refused].map(({ secret }) => secret);
      const failure = failureOf(errors);
      if (failure !== undefined) {
        return { ...failure, behind: names };
      }
      if (names.length > 0) {
        return { state: "behind", behind: names };
      }
      if (state.provisioning === "inProgress") {
        return { state: "restarting", behind: [] };
      }
      const restart = new RestartRun(this.#holder, this.#bindings, state, this.#clock, context);
      return this.#stateOf(await restart.assess());
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
        const state = await this.#bringUpToDate(wanted, run, progress);
        return { ...progress, ...state };
      } catch (error) {
        context.signal.throwIfAborted();
        return { ...progress, state: "failed", error: asRotatorError(error, "propagate") };
      }
    });
  }

  /** Notes in `progress` what was done so far, which counts however the run ends. */
  async #bringUpToDate(
    wanted: readonly WantedSecret[],
    run: UpdateRun,
    progress: { updated: number; restarted: boolean; behind: string[] },
  ): Promise<Partial<ConsumerReport> & ConsumerState> {
    const state = await settled(run, updateMs);
    const { behind, refused, errors } = compareSecrets(state, wanted, this.target, this.#bindings);
    progress.behind = [...behind, ...refused].map(({ secret }) => secret);
    if (behind.length === 0 && state.provisioning === "inProgress") {
      // A long deployment by somebody else; whatever it leaves running is looked at on the next tick.
      return { state: "restarting", behind: progress.behind };
    }
    const restart = new RestartRun(this.#holder, this.#bindings, state, this.#clock, run.context);
    if (behind.length > 0) {
      const again = isSentBefore(state, behind, this.#bindings);
      const newRevision = await restart.planUpdate(progress.behind, again, behind);
      const update = await updateSecrets(run, state, behind, newRevision);
      progress.updated = update.written;
      if (update.failure !== undefined) {
        const failure = failureOf([update.failure, ...errors, ...update.errors]);
        return { state: "failed", ...failure, behind: progress.behind };
      }
      progress.behind = progress.behind.filter((secret) => !update.updated.includes(secret));
      errors.push(...update.errors);
      restart.updated(update.state, update.written > 0 ? update.updated : [], newRevision);
    }
    try {
      const assessment = await restart.replace();
      return { ...this.#stateOf(assessment), ...failureOf(errors), behind: progress.behind };
    } finally {
      progress.restarted = restart.restarted;
    }
  }

  #stateOf(assessment: Assessment): ConsumerState {
    const facts = { resource: this.target };
    switch (assessment.kind) {
      case "current":
        return { state: "current", behind: [] };
      case "due":
        // The app has the secrets; what runs has not.
        return { state: "behind", behind: this.#bindings.map(({ secret }) => secret) };
      case "waiting": {
        const { old, unready } = assessment;
        return { state: "restarting", behind: [], facts: { oldReplicas: old, unreadyReplicas: unready } };
      }
      case "notReplaced":
        return this.#failed(
          new RotatorError(consumerProblems.RestartFailed, {
            facts: { ...facts, oldReplicas: assessment.old },
          }),
        );
      case "unhealthy":
        return this.#failed(
          new RotatorError(consumerProblems.RestartUnhealthy, {
            facts: { ...facts, unreadyReplicas: assessment.unready },
          }),
        );
    }
  }

  #failed(error: RotatorError): ConsumerState {
    return { state: "failed", behind: [], error: asRotatorError(error, "propagate") };
  }
}
