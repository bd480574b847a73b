import type { ContainerApp, JobPatchProperties, Secret } from "@azure/arm-appcontainers";
import { RotatorError } from "../errors.ts";
import type { ConsumerEnvironment } from "../plugins.ts";
import type { CallContext } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import { type Answered, ArmCalls, isNotFound, type Salvage, type Send } from "./armCalls.ts";
import { consumerProblems } from "./containerAppProblems.ts";
import { parseResourceId } from "./resourceId.ts";

/** A Container App or a job, as far as the consumers look at it. */
export interface HolderState {
  /** Milliseconds since the epoch, by the server's clock: whole seconds, rounded down. */
  readonly serverTime: number;
  readonly location: string;
  readonly environmentId: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Names only: a GET gives no values. */
  readonly secretNames: readonly string[];
  readonly provisioning: "inProgress" | "succeeded" | "failed";
  /** Of an app; a job has no revisions. */
  readonly revisionMode: "single" | "multiple";
}

/** One secret of an app: a value, or a reference to Key Vault with the identity that reads it. */
export interface HeldSecret {
  readonly name: string;
  readonly value?: SecretValue;
  readonly keyVaultUrl?: string;
  readonly identity?: string;
}

export interface HeldSecrets {
  readonly serverTime: number;
  readonly secrets: readonly HeldSecret[];
}

export interface HolderChange {
  readonly tags: Readonly<Record<string, string>>;
  /** All secrets: the array is replaced as a whole. Absent: they stay as they are. */
  readonly secrets?: readonly HeldSecret[];
  /** Makes a new revision of an app. */
  readonly revisionSuffix?: string;
}

/**
 * What holds secrets and tags: an app or a job. Reads are tried again until `giveUpAt`; an update is sent once, and whoever
 * tries again looks first.
 */
export interface SecretHolder {
  /** Its resource id. */
  readonly resource: string;
  read(context: CallContext): Promise<HolderState>;
  listSecrets(context: CallContext): Promise<HeldSecrets>;
  /**
   * Sends the change. It is in force when `read` says that nothing is in progress any more.
   * @returns how long to wait before asking, in milliseconds.
   */
  update(state: HolderState, change: HolderChange, context: CallContext): Promise<number>;
}

export interface Revision {
  readonly name: string;
  readonly active: boolean;
  /** Milliseconds since the epoch, whole seconds; 0 where it is not told. */
  readonly createdAt: number;
  readonly failed: boolean;
}

export interface Replica {
  readonly createdAt: number;
  readonly running: boolean;
  /** Every container is ready. */
  readonly ready: boolean;
}

export interface AppHolder extends SecretHolder {
  listRevisions(context: CallContext): Promise<readonly Revision[]>;
  /** Empty for a revision that is gone. */
  listReplicas(revision: string, context: CallContext): Promise<readonly Replica[]>;
  /** Asks for new replicas in place of the running ones. See {@link ArmCalls.ask}. */
  restart(revision: string, context: CallContext): Promise<"heard" | "unsure" | "gone">;
}

export function appHolder(resource: string, environment: ConsumerEnvironment): AppHolder {
  const { resourceGroup, name } = parseResourceId(resource);
  const calls = new ArmCalls(resource, environment);
  const actions = "Microsoft.App/containerApps";
  return {
    resource,
    read: async (context) => {
      const answer = await calls.read(`${actions}/read`, context, async ({ containerApps }, options) =>
        checked(await containerApps.get(resourceGroup, name, options)),
      );
      const mode = answer.body.configuration?.activeRevisionsMode?.toLowerCase();
      return { ...stateOf(answer), revisionMode: mode === "multiple" ? "multiple" : "single" };
    },
    listSecrets: async (context) =>
      heldSecrets(
        await calls.read(
          `${actions}/listSecrets/action`,
          context,
          ({ containerApps }, options) => containerApps.listSecrets(resourceGroup, name, options),
          noSecrets,
        ),
      ),
    update: (state, { tags, secrets, revisionSuffix }, context) => {
      const change: ContainerApp = {
        // The documentation requires it, and the same location changes nothing.
        location: state.location,
        tags: { ...tags },
        ...(secrets === undefined ? {} : { configuration: { secrets: secrets.map(sent) } }),
        ...(revisionSuffix === undefined ? {} : { template: { revisionSuffix } }),
      };
      return update(calls, `${actions}/write`, state, secrets, context, ({ containerApps }, options) =>
        containerApps.update(resourceGroup, name, change, options).submitted(),
      );
    },
    listRevisions: async (context) => {
      const { body } = await calls.read(
        `${actions}/revisions/read`,
        context,
        async ({ containerAppsRevisions }, options) => {
          const revisions: Revision[] = [];
          for await (const revision of containerAppsRevisions.listRevisions(resourceGroup, name, options)) {
            revisions.push({
              name: revision.name ?? "",
              active: revision.active === true,
              createdAt: timeOf(revision.createdTime),
              failed: revision.provisioningState === "Failed" || revision.runningState === "Failed",
            });
          }
          return revisions;
        },
      );
      return body;
    },
    listReplicas: async (revision, context) => {
      try {
        const { body } = await calls.read(
          `${actions}/revisions/replicas/read`,
          context,
          ({ containerAppsRevisionReplicas }, options) =>
            containerAppsRevisionReplicas.listReplicas(resourceGroup, name, revision, options),
        );
        return body.value.map(({ createdTime, runningState, containers = [] }) => ({
          createdAt: timeOf(createdTime),
          running: runningState !== "NotRunning",
          ready: containers.every(({ ready }) => ready !== false),
        }));
      } catch (error) {
        if (isNotFound(error)) {
          return [];
        }
        throw error;
      }
    },
    restart: (revision, context) =>
      calls.ask(`${actions}/revisions/restart/action`, context, ({ containerAppsRevisions }, options) =>
        containerAppsRevisions.restartRevision(resourceGroup, name, revision, options),
      ),
  };
}

export function jobHolder(resource: string, environment: ConsumerEnvironment): SecretHolder {
  const { resourceGroup, name } = parseResourceId(resource);
  const calls = new ArmCalls(resource, environment);
  return {
    resource,
    read: async (context) => {
      const answer = await calls.read("Microsoft.App/jobs/read", context, async ({ jobs }, options) =>
        checked(await jobs.get(resourceGroup, name, options)),
      );
      return { ...stateOf(answer), revisionMode: "single" };
    },
    listSecrets: async (context) =>
      heldSecrets(
        await calls.read(
          "Microsoft.App/jobs/listSecrets/action",
          context,
          ({ jobs }, options) => jobs.listSecrets(resourceGroup, name, options),
          noSecrets,
        ),
      ),
    update: (state, { tags, secrets = [] }, context) => {
      // The type requires a trigger and a time-out, which a merge patch leaves alone by not naming them.
      const configuration = { secrets: secrets.map(sent) } as JobConfiguration;
      const change: JobPatchProperties = { tags: { ...tags }, properties: { configuration } };
      return update(calls, "Microsoft.App/jobs/write", state, secrets, context, ({ jobs }, options) =>
        jobs.update(resourceGroup, name, change, options).submitted(),
      );
    },
  };
}

type JobConfiguration = NonNullable<NonNullable<JobPatchProperties["properties"]>["configuration"]>;

/** Without `Retry-After`, what the SDK's own poller waits. */
const pollMs = 2_000;

const joinAction = "Microsoft.App/managedEnvironments/join/action";
const assignAction = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";

/**
 * The SDK's poller is only used to send: it follows `Location`, for which a role needs actions that are not documented, and
 * waits by a clock of its own. What became of the update is read from the resource itself.
 */
async function update(
  calls: ArmCalls,
  action: string,
  state: HolderState,
  secrets: readonly HeldSecret[] | undefined,
  context: CallContext,
  submit: Send<void>,
): Promise<number> {
  const identities = secrets?.flatMap(({ identity }) => (identity?.startsWith("/") ? [identity] : [])) ?? [];
  const linkedActions = { [joinAction]: state.environmentId, [assignAction]: identities.join(" ") };
  const { status, retryAfterMs } = await calls.write(
    { action, linkedActions },
    context,
    async (client, options) => {
      await submit(client, options);
      return true;
    },
    // Accepted, with a body that the client cannot read.
    (answer) => (answer.status >= 200 && answer.status < 300 ? true : undefined),
  );
  return status === 200 ? 0 : (retryAfterMs ?? pollMs);
}

/** "No secrets", which the client takes for an error: 204, or 200 with nothing in it. */
const noSecrets: Salvage<{ value: Secret[] }> = ({ status, parsedBody }) => {
  const empty = status === 200 && JSON.stringify(parsedBody || {}) === "{}";
  return status === 204 || empty ? { value: [] } : undefined;
};

function heldSecrets({ body, serverTime }: Answered<{ readonly value: readonly Secret[] }>): HeldSecrets {
  return { serverTime, secrets: body.value.map(held) };
}

/** The client makes an empty resource of a page that a proxy answers in place of the resource manager. */
function checked<T extends { readonly id?: string }>(body: T): T {
  if (typeof body.id !== "string") {
    throw new RotatorError(consumerProblems.ConsumerAnswerUnreadable);
  }
  return body;
}

function stateOf({
  body,
  serverTime,
}: Answered<{
  readonly location?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly environmentId?: string;
  readonly provisioningState?: string;
  readonly configuration?: { readonly secrets?: readonly Secret[] };
}>): Omit<HolderState, "revisionMode"> {
  return {
    serverTime,
    location: body.location ?? "",
    environmentId: body.environmentId ?? "",
    tags: body.tags ?? {},
    secretNames: (body.configuration?.secrets ?? []).map(({ name }) => name ?? ""),
    provisioning: provisioningOf(body.provisioningState),
  };
}

function provisioningOf(state: string | undefined): HolderState["provisioning"] {
  switch (state) {
    case "Failed":
    case "Canceled":
      return "failed";
    case "Succeeded":
    case undefined:
      return "succeeded";
    default:
      return "inProgress";
  }
}

function held({ name = "", value, keyVaultUrl, identity }: Secret): HeldSecret {
  if (keyVaultUrl) {
    return { name, keyVaultUrl, ...(identity ? { identity } : {}) };
  }
  return typeof value === "string" ? { name, value: new SecretValue(value) } : { name };
}

/** Where a value leaves its wrapper: in the body of the request. */
function sent({ name, value, keyVaultUrl, identity }: HeldSecret): Secret {
  if (keyVaultUrl !== undefined) {
    return { name, keyVaultUrl, ...(identity === undefined ? {} : { identity }) };
  }
  return value === undefined ? { name } : { name, value: value.reveal() };
}

/** What has no time counts as old: a restart too many harms less than one too few. */
function timeOf(created: Date | undefined): number {
  return created?.getTime() || 0;
}
