import { createLocalJWKSet } from "jose";
import { type Issuer, TokenRefused } from "./issuer.ts";
import type { RegisteredClient } from "./oauthClients.ts";
import { type OAuthServer, type OAuthServerHost, startOAuthServer } from "./oauthServer.ts";
import type { TokenLoginOptions } from "./postgresLogin.ts";
import { bearerToken, type Call, jsonBody, Refusal, type Reply, type Route } from "./service.ts";

export interface DatabricksOptions {
  /** Verifies the tokens of Entra: in federation, and as bearers of their own. */
  readonly entra: Pick<Issuer, "verify">;
  /** Default a made-up one. */
  readonly accountId?: string;
  /** `clientId` is the application id. Those with the application id of a managed identity may use Entra tokens. */
  readonly servicePrincipals?: readonly RegisteredClient[];
  /** Names of provisioned database instances. */
  readonly instances?: readonly string[];
  /** Names of endpoints: `projects/…/branches/…/endpoints/…`. */
  readonly endpoints?: readonly string[];
}

/** A Databricks workspace with its account: OAuth, and the two APIs for Lakebase credentials. */
export interface EmbeddedDatabricks {
  /** Of the workspace. */
  readonly url: string;
  /** Of the account console. */
  readonly accountUrl: string;
  readonly accountId: string;
  readonly workspace: OAuthServer;
  readonly account: OAuthServer;
  /** `error`/`error_description`, or `errorCode`/`errorSummary`: both are seen from the token endpoints. */
  errorShape: "error" | "errorCode";
  /** Seconds that a Lakebase credential lives where nothing else is asked for. */
  credentialLifetime: number;
  /** Adds a service principal or replaces the one of that application id. */
  register(servicePrincipal: RegisteredClient): void;
  /** What a database checks Lakebase credentials with; their subject, the PostgreSQL role, is the application id. */
  readonly credentials: Pick<TokenLoginOptions, "keys" | "issuer" | "audience">;
}

/** What Entra calls Azure Databricks. */
const entraResource = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";
/** https://github.com/databricks/databricks-sdk-py/issues/362 */
const refusedBeforeExpiryMs = 30_000;
const credentialAudience = "lakebase";

export async function startDatabricks(
  host: OAuthServerHost,
  options: DatabricksOptions,
): Promise<EmbeddedDatabricks> {
  const accountId = options.accountId ?? "11111111-2222-3333-4444-555555555555";
  const common = {
    clients: options.servicePrincipals ?? [],
    federation: options.entra,
    scopes: ["all-apis", "sql", "postgres"],
    paths: { authorization: "/v1/authorize", token: "/v1/token" },
    reshape: (reply: Reply) => reshape(reply, databricks.errorShape),
  };
  const workspace = await startOAuthServer(host, {
    ...common,
    name: "databricks",
    issuerPath: "/oidc",
    routes: lakebaseRoutes(),
  });
  const account = await startOAuthServer(host, {
    ...common,
    name: "databricksAccount",
    issuerPath: `/oidc/accounts/${accountId}`,
  });
  const principals = new Set(common.clients.map(({ clientId }) => clientId));
  const databricks: EmbeddedDatabricks = {
    url: workspace.url,
    accountUrl: account.url,
    accountId,
    workspace,
    account,
    errorShape: "error",
    credentialLifetime: 3600,
    register: (servicePrincipal) => {
      principals.add(servicePrincipal.clientId);
      workspace.register(servicePrincipal);
      account.register(servicePrincipal);
    },
    credentials: {
      keys: createLocalJWKSet({ keys: [workspace.key.publicJwk] }),
      issuer: workspace.issuer,
      audience: credentialAudience,
    },
  };
  return databricks;

  function lakebaseRoutes(): readonly Route[] {
    return [
      {
        operation: "generateDatabaseCredential",
        method: "POST",
        path: "/api/2.0/database/credentials",
        target: (call) => String(jsonBody(call)?.instance_names ?? ""),
        handle: async (call) => {
          const user = await userOf(call);
          const { instance_names: names } = jsonBody(call) ?? {};
          if (!Array.isArray(names) || names.length === 0) {
            throw refusal(400, "INVALID_PARAMETER_VALUE", "Either instance_names or claims must be given.");
          }
          known(options.instances, names.map(String));
          const { token, expiry } = await credential(
            call,
            user,
            names.map(String),
            databricks.credentialLifetime,
          );
          return { status: 200, body: { token, expiration_time: expiry } };
        },
      },
      {
        operation: "generatePostgresCredential",
        method: "POST",
        path: "/api/2.0/postgres/credentials",
        target: (call) => String(jsonBody(call)?.endpoint ?? ""),
        handle: async (call) => {
          const user = await userOf(call);
          const { endpoint, ttl } = jsonBody(call) ?? {};
          if (typeof endpoint !== "string") {
            throw refusal(400, "INVALID_PARAMETER_VALUE", "The endpoint is missing.");
          }
          known(options.endpoints, [endpoint]);
          const lifetime = ttl === undefined ? databricks.credentialLifetime : secondsOf(ttl);
          const { token, expiry } = await credential(call, user, [endpoint], lifetime);
          return { status: 200, body: { token, expire_time: expiry } };
        },
      },
    ];
  }

  /** Signed with the workspace's key; what else stands in a real one is not documented. */
  async function credential(call: Call, user: string, databases: readonly string[], lifetime: number) {
    const now = Math.floor(call.now() / 1000);
    const { issuer, key } = workspace;
    const claims = {
      iss: issuer,
      aud: credentialAudience,
      sub: user,
      iat: now,
      exp: now + lifetime,
      databases,
    };
    return {
      token: await key.sign(claims),
      expiry: new Date((now + lifetime) * 1000).toISOString().replace(".000Z", "Z"),
    };
  }

  /** The application id of whoever calls. */
  async function userOf(call: Call): Promise<string> {
    const token = bearerToken(call);
    if (token === undefined) {
      throw refusal(
        401,
        "UNAUTHENTICATED",
        "Credential was not sent or was of an unsupported type for this API.",
      );
    }
    const user = await workspace
      .verify(token, call.now() + refusedBeforeExpiryMs)
      .then(({ sub }) => String(sub))
      .catch(() => options.entra.verify(token, [entraResource], call.now()).then(({ clientId }) => clientId))
      .catch((error: unknown) => {
        throw error instanceof TokenRefused
          ? refusal(403, "PERMISSION_DENIED", "Invalid access token.")
          : error;
      });
    if (!principals.has(user)) {
      throw refusal(403, "PERMISSION_DENIED", "The service principal is not a member of this workspace.");
    }
    return user;
  }
}

function known(existing: readonly string[] = [], names: readonly string[]): void {
  const missing = names.find((name) => !existing.includes(name));
  if (missing !== undefined) {
    throw refusal(404, "RESOURCE_DOES_NOT_EXIST", `${missing} does not exist.`);
  }
}

/** A protobuf duration as JSON: `3600s`. */
function secondsOf(ttl: unknown): number {
  const seconds = typeof ttl === "string" && /^\d+s$/.test(ttl) ? Number.parseInt(ttl, 10) : Number.NaN;
  if (!(seconds >= 300 && seconds <= 3600)) {
    throw refusal(400, "INVALID_PARAMETER_VALUE", "The ttl must be between 300s and 3600s.");
  }
  return seconds;
}

/** The error body of the REST API. */
function refusal(status: number, code: string, message: string): Refusal {
  return new Refusal({ status, body: { error_code: code, message } });
}

function reshape(reply: Reply, shape: EmbeddedDatabricks["errorShape"]): Reply {
  const { error, error_description: description } = (reply.body ?? {}) as Record<string, unknown>;
  return reply.status >= 400 && shape === "errorCode" && typeof error === "string"
    ? { ...reply, body: { errorCode: error, errorSummary: description } }
    : reply;
}
