import type { Clock } from "../ports.ts";
import { type ArmRoleAssignment, checkAccess, checkLinkedAccess } from "./armAccess.ts";
import {
  invalidRequestContent,
  missingApiVersion,
  operationFailed,
  resourceNotFound,
} from "./armRefusals.ts";
import { type ArmResource, type Json, objectOf } from "./armResource.ts";
import { accepted, appBody, jobBody, replicaBody, revisionBody, secretsBody } from "./containerAppWire.ts";
import type { EmbeddedContainerApp } from "./embeddedContainerApp.ts";
import type { EmbeddedJob } from "./embeddedJob.ts";
import { type Call, type Caller, jsonBody, type Reply, type Route } from "./service.ts";

const group = "/subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.App";
const joinAction = "Microsoft.App/managedEnvironments/join/action";
const assignAction = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";

/** One kind of resource: how its operations are called and how it looks in an answer. */
interface Kind<Resource extends ArmResource> {
  readonly type: "containerApps" | "jobs";
  /** By resource id in lower case. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly body: (resource: Resource) => Json;
}

export interface ContainerAppsSettings {
  /** Evaluated on every request. `undefined`: every identity may do everything. */
  assignments: readonly ArmRoleAssignment[] | undefined;
  /** What `listSecrets` answers for an app without secrets; all of these have been seen. Default `204`. */
  withoutSecrets: "204" | "emptyList" | "noValue";
  /**
   * When a write is checked for `managedEnvironments/join/action` and `userAssignedIdentities/assign/action`: where the
   * request names the environment or carries identities, as the resource manager's rule for linked resources says
   * (default), or on every write and for every reference to Key Vault, as a strict reading of the roles' documentation does.
   */
  linkedChecks: "named" | "always";
}

/** The operations of Container Apps and jobs that the service answers. */
export class ContainerAppRoutes {
  readonly apps = new Map<string, EmbeddedContainerApp>();
  readonly jobs = new Map<string, EmbeddedJob>();
  readonly #clock: Clock;
  readonly #settings: ContainerAppsSettings;
  #skewMs = 0;

  constructor(clock: Clock, settings: ContainerAppsSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The service's clock: the host's, with the skew of the latest call. */
  now = (): number => this.#clock.now() + this.#skewMs;

  all(): Route[] {
    const app = { type: "containerApps", resources: this.apps, body: appBody } as const;
    const job = { type: "jobs", resources: this.jobs, body: jobBody } as const;
    return [
      ...this.#documentRoutes<EmbeddedContainerApp>(app, ["get", "update", "listSecrets"]),
      ...this.#documentRoutes<EmbeddedJob>(job, ["getJob", "updateJob", "listJobSecrets"]),
      this.#route(app, "listRevisions", "GET", "revisions", "revisions/read", (found) => ({
        status: 200,
        body: { value: found.revisions.map((revision) => revisionBody(found, revision)) },
      })),
      this.#route(app, "getRevision", "GET", "revisions/:revision", "revisions/read", (found, call) => ({
        status: 200,
        body: revisionBody(found, found.revision(call.params.revision ?? "")),
      })),
      this.#route(
        app,
        "restartRevision",
        "POST",
        "revisions/:revision/restart",
        "revisions/restart/action",
        (found, call) => {
          found.restart(call.params.revision ?? "");
          return { status: 200 };
        },
      ),
      this.#route(
        app,
        "listReplicas",
        "GET",
        "revisions/:revision/replicas",
        "revisions/replicas/read",
        (found, call) => {
          const revision = found.revision(call.params.revision ?? "");
          const value = revision.replicas.map((replica) => replicaBody(found, revision, replica));
          return { status: 200, body: { value } };
        },
      ),
      this.#operationResult(),
    ];
  }

  #documentRoutes<Resource extends ArmResource>(
    kind: Kind<Resource>,
    [get, update, listSecrets]: readonly [string, string, string],
  ): Route[] {
    return [
      this.#route(kind, get, "GET", "", "read", (resource) => ({ status: 200, body: kind.body(resource) })),
      this.#route(kind, update, "PATCH", "", "write", (resource, call) => {
        const body = jsonBody(call);
        if (body === undefined) {
          throw invalidRequestContent();
        }
        this.#checkLinked(resource, kind, body, call.caller as Caller);
        const operation = resource.patch(body);
        return operation.status === "running"
          ? accepted(resource, operation, call.origin)
          : { status: 200, body: kind.body(resource) };
      }),
      this.#route(kind, listSecrets, "POST", "listSecrets", "listSecrets/action", (resource) =>
        this.#secrets(resource),
      ),
    ];
  }

  #secrets({ secrets: { configured } }: ArmResource): Reply {
    if (configured.length > 0 || this.#settings.withoutSecrets === "emptyList") {
      return { status: 200, body: secretsBody(configured) };
    }
    return this.#settings.withoutSecrets === "204" ? { status: 204 } : { status: 200, body: {} };
  }

  #route<Resource extends ArmResource>(
    { type, resources }: Kind<Resource>,
    operation: string,
    method: Route["method"],
    below: string,
    verb: string,
    answer: (resource: Resource, call: Call) => Reply,
  ): Route {
    const action = `Microsoft.App/${type}/${verb}`;
    return {
      operation,
      method,
      path: `${group}/${type}/:name/${below}`,
      action,
      target: ({ params: { name = "", revision } }) => (revision === undefined ? name : revision),
      handle: (call) => {
        this.#skewMs = call.now() - this.#clock.now();
        checkApiVersion(call);
        const { subscription = "", group: resourceGroup = "", name = "" } = call.params;
        const id = `/subscriptions/${subscription}/resourceGroups/${resourceGroup}/providers/Microsoft.App/${type}/${name}`;
        // Whoever may not look does not learn whether it exists.
        checkAccess(this.#settings.assignments, call.caller as Caller, action, id);
        const resource = resources.get(id.toLowerCase());
        if (resource === undefined) {
          throw resourceNotFound(type, name, resourceGroup);
        }
        resource.settle();
        return answer(resource, call);
      },
    };
  }

  /** What a write needs on other resources than the one that is written. */
  #checkLinked(resource: ArmResource, { type }: { readonly type: string }, body: Json, caller: Caller): void {
    const own = { action: `Microsoft.App/${type}/write`, scope: resource.id };
    const properties = objectOf(body.properties) ?? {};
    const named = properties.environmentId !== undefined || properties.managedEnvironmentId !== undefined;
    if (named || this.#settings.linkedChecks === "always") {
      checkLinkedAccess(this.#settings.assignments, caller, own, {
        action: joinAction,
        scope: resource.environmentId,
      });
    }
    const carried = Object.keys(objectOf(objectOf(body.identity)?.userAssignedIdentities) ?? {});
    const referred = this.#settings.linkedChecks === "always" ? identitiesOf(properties) : [];
    for (const scope of [...carried, ...referred]) {
      checkLinkedAccess(this.#settings.assignments, caller, own, { action: assignAction, scope });
    }
  }

  /** For clients that follow `Location`; the product reads the app itself. */
  #operationResult(): Route {
    const action = "Microsoft.App/locations/containerappOperationResults/read";
    return {
      operation: "operationResult",
      method: "GET",
      path: "/subscriptions/:subscription/providers/Microsoft.App/locations/:location/containerappOperationResults/:operation",
      action,
      target: (call) => call.params.operation ?? "",
      handle: (call) => {
        checkApiVersion(call);
        checkAccess(
          this.#settings.assignments,
          call.caller as Caller,
          action,
          `/subscriptions/${call.params.subscription}`,
        );
        const id = call.params.operation ?? "";
        const app = [...this.apps.values()].find(({ operations }) => operations.has(id));
        const job = [...this.jobs.values()].find(({ operations }) => operations.has(id));
        const resource: ArmResource | undefined = app ?? job;
        resource?.settle();
        const operation = resource?.operations.get(id);
        if (resource === undefined || operation === undefined) {
          throw resourceNotFound("containerappOperationResults", id, "");
        }
        switch (operation.status) {
          case "running":
            return accepted(resource, operation, call.origin);
          case "failed":
            throw operationFailed(resource.name);
          case "succeeded":
            return { status: 200, body: app === undefined ? jobBody(resource as EmbeddedJob) : appBody(app) };
        }
      },
    };
  }
}

/** User-assigned identities that read Key Vault for the secrets of a request. */
function identitiesOf({ configuration }: Json): string[] {
  const secrets = objectOf(configuration)?.secrets;
  return (Array.isArray(secrets) ? secrets : []).flatMap((secret) => {
    const identity: unknown = objectOf(secret)?.identity;
    return typeof identity === "string" && identity.startsWith("/") ? [identity] : [];
  });
}

function checkApiVersion(call: Call): void {
  if (!call.query.get("api-version")) {
    throw missingApiVersion();
  }
}
