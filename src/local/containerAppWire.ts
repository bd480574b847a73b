import type { ArmResource, Json, Operation } from "./armResource.ts";
import { type ArmSecret, isReference } from "./armSecrets.ts";
import type { EmbeddedContainerApp, EmbeddedReplica, EmbeddedRevision } from "./embeddedContainerApp.ts";
import type { EmbeddedJob } from "./embeddedJob.ts";
import type { Reply } from "./service.ts";

/*
 * Bodies as the service sends them, as far as a client looks at them. Values of secrets are in one of them only: the
 * answer of `listSecrets`.
 */

export function appBody(app: EmbeddedContainerApp): Json {
  const latest = app.latestRevision.name;
  return {
    ...resourceBody(app, "Microsoft.App/containerApps"),
    properties: {
      provisioningState: app.provisioningState,
      runningStatus: "Running",
      managedEnvironmentId: app.environmentId,
      environmentId: app.environmentId,
      latestRevisionName: latest,
      latestReadyRevisionName: app.revisions.findLast(isReady)?.name ?? latest,
      configuration: { ...app.configuration, secrets: secretNames(app) },
      template: app.template,
    },
  };
}

export function jobBody(job: EmbeddedJob): Json {
  return {
    ...resourceBody(job, "Microsoft.App/jobs"),
    properties: {
      provisioningState: job.provisioningState,
      environmentId: job.environmentId,
      configuration: { ...job.configuration, secrets: secretNames(job) },
      template: job.template,
    },
  };
}

export function secretsBody(secrets: readonly ArmSecret[]): Json {
  return {
    value: secrets.map((secret) =>
      isReference(secret) ? { ...secret } : { name: secret.name, value: secret.value.reveal() },
    ),
  };
}

export function revisionBody(app: EmbeddedContainerApp, revision: EmbeddedRevision): Json {
  const { name, active, failed, replicas, createdAt, template } = revision;
  const ready = isReady(revision);
  return {
    id: `${app.id}/revisions/${name}`,
    name,
    type: "Microsoft.App/containerapps/revisions",
    properties: {
      createdTime: time(createdAt),
      active,
      replicas: replicas.length,
      trafficWeight: revision === app.latestRevision ? 100 : 0,
      template,
      healthState: replicas.length === 0 ? "None" : ready ? "Healthy" : "Unhealthy",
      provisioningState: failed ? "Failed" : "Provisioned",
      runningState: !active ? "Stopped" : ready || replicas.length === 0 ? "Running" : "Processing",
    },
  };
}

export function replicaBody(
  app: EmbeddedContainerApp,
  revision: EmbeddedRevision,
  { name, createdAt, ready }: EmbeddedReplica,
): Json {
  const containers = Array.isArray(app.template.containers) ? app.template.containers : [];
  return {
    id: `${app.id}/revisions/${revision.name}/replicas/${name}`,
    name,
    type: "Microsoft.App/containerapps/revisions/replicas",
    properties: {
      createdTime: time(createdAt),
      runningState: ready ? "Running" : "NotRunning",
      containers: containers.map((container) => ({
        name: container.name,
        ready,
        started: ready,
        restartCount: 0,
        runningState: ready ? "Running" : "Waiting",
      })),
    },
  };
}

/** What an accepted update is answered with, and where its end can be asked for. */
export function accepted(resource: ArmResource, operation: Operation, origin: string): Reply {
  const [, , subscription = ""] = resource.id.split("/");
  const retryAfter = resource.updates.retryAfterSeconds;
  return {
    status: 202,
    headers: {
      location: `${origin}/subscriptions/${subscription}/providers/Microsoft.App/locations/${resource.location}/containerappOperationResults/${operation.id}?api-version=2026-07-01`,
      ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
    },
  };
}

function resourceBody(resource: ArmResource, type: string): Json {
  const userAssigned = resource.identities.filter(({ id }) => id !== "system");
  const kinds = [
    ...(userAssigned.length < resource.identities.length ? ["SystemAssigned"] : []),
    ...(userAssigned.length > 0 ? ["UserAssigned"] : []),
  ];
  return {
    id: resource.id,
    name: resource.name,
    type,
    location: resource.location,
    tags: resource.tags,
    identity: {
      type: kinds.length === 0 ? "None" : kinds.join(", "),
      ...(userAssigned.length === 0
        ? {}
        : { userAssignedIdentities: Object.fromEntries(userAssigned.map(({ id }) => [id, {}])) }),
    },
  };
}

/** A GET names secrets and shows references, and no value. */
function secretNames({ secrets }: ArmResource): Json[] {
  return secrets.configured.map((secret) => (isReference(secret) ? { ...secret } : { name: secret.name }));
}

function isReady({ replicas }: EmbeddedRevision): boolean {
  return replicas.length > 0 && replicas.every(({ ready }) => ready);
}

/** Whole seconds, as Kubernetes keeps the creation times of pods. */
function time(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "+00:00");
}
