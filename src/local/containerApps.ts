import type { ArmRoleAssignment } from "./armAccess.ts";
import { armError, unauthenticated } from "./armRefusals.ts";
import type { ArmResourceOptions } from "./armResource.ts";
import type { ReferenceSecret } from "./armSecrets.ts";
import { ContainerAppRoutes, type ContainerAppsSettings } from "./containerAppRoutes.ts";
import { type ContainerAppOptions, EmbeddedContainerApp } from "./embeddedContainerApp.ts";
import { EmbeddedJob } from "./embeddedJob.ts";
import { type Issuer, type TokenRefusal, TokenRefused } from "./issuer.ts";
import type { EmbeddedVault } from "./keyVault.ts";
import { bearerToken, type Call, type Caller, type EmbeddedHost } from "./service.ts";
import { readReference } from "./vaultReferences.ts";

export interface ContainerAppsOptions {
  /** Vaults that references may point to. Default none. */
  readonly vaults?: Iterable<EmbeddedVault>;
  /** Default: every identity of the tenant may do everything. */
  readonly assignments?: readonly ArmRoleAssignment[];
  /** Default an ephemeral one. */
  readonly port?: number;
}

/** The resource manager, as far as it serves Container Apps and jobs. */
export interface EmbeddedContainerApps {
  /** The value of `AZURE_RESOURCE_MANAGER_URL`; without a trailing slash. */
  readonly url: string;
  /** May be changed at any time. */
  readonly settings: ContainerAppsSettings;
  /** @throws Refusal where the service would refuse the template or its secrets. */
  addApp(options: ContainerAppOptions): EmbeddedContainerApp;
  addJob(options: ArmResourceOptions): EmbeddedJob;
  remove(id: string): void;
}

export async function startContainerApps(
  host: Pick<EmbeddedHost, "clock" | "serve">,
  issuer: Issuer,
  options: ContainerAppsOptions = {},
): Promise<EmbeddedContainerApps> {
  const settings: ContainerAppsSettings = {
    assignments: options.assignments,
    withoutSecrets: "204",
    linkedChecks: "named",
  };
  const routes = new ContainerAppRoutes(host.clock, settings);
  const vaults = [...(options.vaults ?? [])];
  const url = await host.serve({
    name: "containerApps",
    ...(options.port === undefined ? {} : { port: options.port }),
    errorBody: (status, message) => armError(errorCode(status), message),
    authenticate: (call) => authenticate(call, issuer),
    routes: routes.all(),
  });
  const reader =
    ({ identities = [] }: ArmResourceOptions) =>
    (reference: ReferenceSecret) =>
      readReference(vaults, identities, reference, routes.now());
  return {
    url,
    settings,
    addApp: (given) => {
      const app = new EmbeddedContainerApp(given, reader(given), routes.now);
      routes.apps.set(given.id.toLowerCase(), app);
      return app;
    },
    addJob: (given) => {
      const job = new EmbeddedJob(given, reader(given), routes.now);
      routes.jobs.set(given.id.toLowerCase(), job);
      return job;
    },
    remove: (id) => {
      routes.apps.delete(id.toLowerCase());
      routes.jobs.delete(id.toLowerCase());
    },
  };
}

/** With and without the slash that older clients add. */
const audiences = ["https://management.azure.com", "https://management.azure.com/"];

async function authenticate(call: Call, issuer: Issuer): Promise<Caller> {
  const authority = `${issuer.url}/${issuer.tenantId}`;
  const token = bearerToken(call);
  if (token === undefined) {
    throw unauthenticated(
      authority,
      "AuthenticationFailed",
      "Authentication failed. The 'Authorization' header is missing.",
    );
  }
  try {
    return await issuer.verify(token, audiences, call.now());
  } catch (error) {
    if (error instanceof TokenRefused) {
      const [code, message] = tokenRefusals[error.reason];
      throw unauthenticated(authority, code, message);
    }
    throw error;
  }
}

/** The codes have been seen; the sentences are shortened. */
const tokenRefusals: Readonly<Record<TokenRefusal, readonly [code: string, message: string]>> = {
  malformed: ["InvalidAuthenticationToken", "The access token is invalid."],
  signature: ["InvalidAuthenticationToken", "The access token has an invalid signature."],
  issuer: ["InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer."],
  audience: [
    "InvalidAuthenticationTokenAudience",
    "The access token has been obtained for wrong audience or resource. It should exactly match one of the allowed audiences 'https://management.azure.com'.",
  ],
  expired: ["ExpiredAuthenticationToken", "The access token expiry is before the current time."],
  notYetValid: ["InvalidAuthenticationToken", "The access token is not yet valid."],
};

function errorCode(status: number): string {
  switch (status) {
    case 404:
      return "InvalidResourceType";
    case 429:
      return "SubscriptionRequestsThrottled";
    default:
      return status < 500 ? "BadRequest" : "InternalServerError";
  }
}
