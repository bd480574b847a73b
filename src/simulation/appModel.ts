import type {
  AppHolder,
  HeldSecret,
  HeldSecrets,
  HolderChange,
  HolderState,
  SecretHolder,
} from "../consumers/containerAppApi.ts";
import { consumerErrorOf, consumerProblems } from "../consumers/containerAppProblems.ts";
import { retry } from "../core/retry.ts";
import { RotatorError } from "../errors.ts";
import type { Json } from "../local/armResource.ts";
import { type ArmSecret, isReference } from "../local/armSecrets.ts";
import { EmbeddedContainerApp } from "../local/embeddedContainerApp.ts";
import { EmbeddedJob } from "../local/embeddedJob.ts";
import { Refusal } from "../local/service.ts";
import type { CallContext } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import { type Instance, NoAnswer } from "./instance.ts";
import type { World } from "./world.ts";

/** A secret of an app that the rotator has nothing to do with. */
export const othersSecret = "somebody-elses";
const placeholder = "not-yet";

/** One Container App or job that rotations feed, with a secret of somebody else's beside theirs. */
export class AppModel {
  readonly id: string;
  readonly resource: EmbeddedContainerApp | EmbeddedJob;
  /** Names of the secrets that rotations feed. */
  readonly fed: readonly string[];
  /** When somebody else last changed the app's secrets. */
  othersWroteAt = Number.NEGATIVE_INFINITY;
  /** When somebody else last sent back an older value of a fed secret than the app had. */
  revertedAt = Number.NEGATIVE_INFINITY;
  /** When somebody last changed how many replicas it has. */
  scaledAt = Number.NEGATIVE_INFINITY;
  /** When an update last failed, whoever made it. */
  failedAt = Number.NEGATIVE_INFINITY;
  readonly #world: World;

  constructor(world: World, id: string, fed: readonly string[], replicas: number) {
    this.#world = world;
    this.id = id;
    this.fed = fed;
    const options = {
      id,
      secrets: [
        ...fed.map((name) => ({ name, value: placeholder })),
        { name: othersSecret, value: "set by somebody else" },
      ],
      template: {
        containers: [{ name: "app", env: [...fed, othersSecret].map((name) => ({ name, secretRef: name })) }],
      },
    };
    const now = () => world.clock.now();
    const read = (secret: { readonly keyVaultUrl: string }) => world.readReference(secret.keyVaultUrl);
    this.resource = id.includes("/jobs/")
      ? new EmbeddedJob(options, read, now)
      : new EmbeddedContainerApp({ ...options, replicas }, read, now);
  }

  /** The values of a fed secret that something works with now: each running container, or the next run of a job. */
  valuesInUse(name: string): readonly string[] {
    this.resource.settle();
    if (this.resource instanceof EmbeddedJob) {
      return [textOf(this.resource.secrets.valueOf(name))];
    }
    return this.resource.revisions.flatMap(({ replicas }) =>
      replicas.map(({ environment }) => textOf(environment.get(name))),
    );
  }

  /** The value that the app was given, whoever works with it. */
  configured(name: string): string | undefined {
    const secret = this.resource.secrets.configured.find((candidate) => candidate.name === name);
    return secret === undefined ? undefined : contentOf(secret);
  }

  /** Whether the app has what it was given: the value of a reference that cannot be read does not arrive. */
  hasTaken(name: string): boolean {
    const secret = this.resource.secrets.configured.find((candidate) => candidate.name === name);
    if (secret === undefined) {
      return false;
    }
    try {
      const value = isReference(secret) ? this.#world.readReference(secret.keyVaultUrl) : secret.value;
      return value.reveal() === textOf(this.resource.secrets.valueOf(name));
    } catch (error) {
      if (error instanceof Refusal) {
        return false;
      }
      throw error;
    }
  }

  /** What somebody does, or a scale rule: to nothing, from nothing, or in between. */
  scale(replicas: number): void {
    if (this.resource instanceof EmbeddedContainerApp) {
      this.resource.scale(replicas);
      this.scaledAt = this.#world.clock.now();
    }
  }

  /** What somebody else does: lists the secrets, changes one of their own, and sends all of them back a moment later. */
  async changeByOther(value: string, hesitationMs: number): Promise<void> {
    const listed = this.resource.secrets.configured;
    await this.#world.clock.sleep(hesitationMs);
    const reverts = this.fed.some(
      (name) =>
        this.configured(name) !== contentOf(listed.find((secret) => secret.name === name) as ArmSecret),
    );
    const secrets = listed.map((secret) =>
      secret.name === othersSecret ? { name: secret.name, value } : wireSecret(secret),
    );
    try {
      this.resource.patch({ properties: { configuration: { secrets } } });
      this.othersWroteAt = this.#world.clock.now();
      if (reverts) {
        this.revertedAt = this.othersWroteAt;
        this.#world.faults.count("reverted by another writer");
      }
      if (this.resource.updates.outcome === "fails") {
        this.failedAt = this.othersWroteAt;
      }
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
    }
  }
}

/** The app as the product's own consumer reaches it from one instance. */
export function holderOver(world: World, model: AppModel, instance: Instance): AppHolder {
  const { clock } = instance;
  let listedAt = Number.NEGATIVE_INFINITY;
  let replicasListedAt = Number.NEGATIVE_INFINITY;

  const once = async <T>(operation: string, effect: () => T): Promise<T> => {
    try {
      const call = { service: "apps", operation, target: model.id } as const;
      return await instance.call(call, effect);
    } catch (error) {
      throw mapped(error, operation, model.id);
    }
  };
  const read = <T>(operation: string, context: CallContext, effect: () => T) =>
    retry(() => once(operation, effect), { clock, context });
  const app = () => {
    const { resource } = model;
    if (!(resource instanceof EmbeddedContainerApp)) {
      throw new TypeError(`${model.id} is a job.`);
    }
    resource.settle();
    return resource;
  };
  const serverTime = () => Math.floor(world.clock.now() / 1000) * 1000;

  const holder: SecretHolder = {
    resource: model.id,
    read: (context) =>
      read("get", context, (): HolderState => {
        const { resource } = model;
        resource.settle();
        const { location, environmentId, tags, secrets, provisioningState } = resource;
        return {
          serverTime: serverTime(),
          location,
          environmentId,
          tags,
          secretNames: secrets.configured.map(({ name }) => name),
          provisioning:
            provisioningState === "InProgress"
              ? "inProgress"
              : provisioningState === "Failed"
                ? "failed"
                : "succeeded",
          revisionMode: "single",
        };
      }),
    listSecrets: (context) =>
      read("listSecrets", context, (): HeldSecrets => {
        listedAt = world.clock.now();
        return { serverTime: serverTime(), secrets: model.resource.secrets.configured.map(heldSecret) };
      }),
    update: (_state, change) =>
      once("update", () => {
        const before = new Map(model.resource.secrets.configured.map((secret) => [secret.name, secret]));
        const operation = model.resource.patch(bodyOf(change));
        world.appUpdated({
          app: model,
          before,
          change,
          // Between a look and a write nothing keeps another writer out: Container Apps know no etag.
          raced: model.othersWroteAt >= listedAt,
        });
        return operation.status === "running" ? model.resource.updates.durationMs : 0;
      }),
  };
  return {
    ...holder,
    listRevisions: (context) =>
      read("listRevisions", context, () =>
        app().revisions.map(({ name, active, createdAt }) => ({
          name,
          active,
          createdAt: Math.floor(createdAt / 1000) * 1000,
          failed: false,
        })),
      ),
    listReplicas: (revision, context) =>
      read("listReplicas", context, () => {
        replicasListedAt = world.clock.now();
        const replicas = app().revisions.find(({ name }) => name === revision)?.replicas ?? [];
        return replicas.map(({ createdAt, ready }) => ({
          createdAt: Math.floor(createdAt / 1000) * 1000,
          running: ready,
          ready,
        }));
      }),
    restart: async (revision, context) => {
      const ask = async () => {
        try {
          await once("restart", () => {
            if (!app().busy) {
              // Between a look and a restart nothing keeps the number of replicas as it is.
              world.restartAsked({ app: model, revision, raced: model.scaledAt >= replicasListedAt });
            }
            app().restart(revision);
          });
          return "heard";
        } catch (error) {
          if (error instanceof RotatorError && error.ambiguous) {
            return "unsure";
          }
          throw error;
        }
      };
      try {
        return await retry(ask, { clock, context });
      } catch (error) {
        if (error instanceof RotatorError && error.code === consumerProblems.ConsumerNotFound.code) {
          return "gone";
        }
        throw error;
      }
    },
  };
}

function mapped(error: unknown, operation: string, resource: string): unknown {
  const call = { action: operation, resource };
  if (error instanceof Refusal) {
    const { status, body } = error.reply;
    const { code } = (body as { error: { code: string } }).error;
    return consumerErrorOf({ name: "RestError", statusCode: status, code }, call);
  }
  if (error instanceof NoAnswer) {
    const { status, retryAfterSeconds, code } = error;
    const headers = {
      get: (name: string) =>
        name === "retry-after" && retryAfterSeconds !== undefined ? String(retryAfterSeconds) : undefined,
    };
    const answer = status === undefined ? {} : { statusCode: status, response: { status, headers } };
    return consumerErrorOf({ name: "RestError", code, ...answer }, call);
  }
  return error;
}

function bodyOf({ tags, secrets, revisionSuffix }: HolderChange): Json {
  return {
    tags,
    properties: {
      ...(secrets === undefined ? {} : { configuration: { secrets: secrets.map(sentSecret) } }),
      ...(revisionSuffix === undefined ? {} : { template: { revisionSuffix } }),
    },
  };
}

function sentSecret({ name, value, keyVaultUrl, identity }: HeldSecret): Json {
  return keyVaultUrl === undefined ? { name, value: value?.reveal() } : { name, keyVaultUrl, identity };
}

function heldSecret(secret: ArmSecret): HeldSecret {
  return isReference(secret) ? { ...secret } : { name: secret.name, value: secret.value };
}

function wireSecret(secret: ArmSecret): Json {
  return isReference(secret) ? { ...secret } : { name: secret.name, value: secret.value.reveal() };
}

/** What a secret stands for: its value, or where that is. */
export function contentOf(secret: ArmSecret): string {
  return isReference(secret) ? secret.keyVaultUrl : secret.value.reveal();
}

function textOf(value: string | SecretValue | undefined): string {
  return value instanceof SecretValue ? value.reveal() : (value ?? "");
}
