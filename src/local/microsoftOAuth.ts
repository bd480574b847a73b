import { randomUUID } from "node:crypto";
import type { RegisteredClient } from "./oauthClients.ts";
import { type Lifetimes, type OAuthServer, type OAuthServerHost, startOAuthServer } from "./oauthServer.ts";
import { type Call, formBody, type Reply, type Route } from "./service.ts";

export interface MicrosoftOAuthOptions {
  /** Whose endpoints these are: `consumers`, `common`, a tenant id. Any other is unknown. Default `consumers`. */
  readonly tenant?: string;
  /** Default an ephemeral port. */
  readonly port?: number;
  readonly clients?: readonly RegisteredClient[];
  /** What may be asked for beside `openid` and `offline_access`. Default that of a OneDrive mount. */
  readonly scopes?: readonly string[];
  /** Default 1 hour for access tokens, 90 days for refresh tokens. */
  readonly lifetimes?: Partial<Lifetimes>;
  /** Whoever signs in without typing another name. */
  readonly account?: string;
}

/** Microsoft's endpoints for one tenant: `/{tenant}/oauth2/v2.0/{authorize,token,devicecode}`. */
export interface MicrosoftOAuth {
  /** What `AZURE_AUTHORITY_HOST` names. */
  readonly authorityHost: string;
  readonly tenant: string;
  readonly server: OAuthServer;
  /** Every refresh token is refused like this from now on; `undefined` refuses none. */
  refusal: RefreshRefusal | undefined;
}

/** Why a refresh token is refused, by the number of the error. */
export type RefreshRefusal = keyof typeof refusals;

/** https://learn.microsoft.com/entra/identity-platform/reference-error-codes; the texts are shortened. */
const refusals = {
  70000: ["invalid_grant", "The provided grant is invalid or malformed."],
  70008: ["invalid_grant", "The refresh token has expired due to inactivity."],
  700082: ["invalid_grant", "The refresh token has expired due to inactivity."],
  700084: ["invalid_grant", "The refresh token was issued to a single page app, and has expired."],
  50173: ["invalid_grant", "The provided grant has expired due to it being revoked."],
  50076: ["interaction_required", "You must use multi-factor authentication to access the resource."],
  50079: ["interaction_required", "You must enroll in multi-factor authentication."],
  53003: ["interaction_required", "Access has been blocked by Conditional Access policies."],
  50057: ["invalid_grant", "The user account is disabled."],
  65001: ["invalid_grant", "The user or administrator has not consented to use the application."],
} as const;

/** Starts them over an authorization server of their own. A refresh token stays valid when it is used, as Microsoft's do. */
export async function startMicrosoftOAuth(
  host: OAuthServerHost,
  options: MicrosoftOAuthOptions = {},
): Promise<MicrosoftOAuth> {
  const { tenant = "consumers", clients = [], scopes = ["Files.ReadWrite.All", "User.Read"] } = options;
  const registered = new Map(clients.map((client) => [client.clientId, client]));
  const server = await startOAuthServer(host, {
    ...options,
    name: "microsoft",
    issuerPath: `/${tenant}`,
    paths: {
      authorization: "/oauth2/v2.0/authorize",
      token: "/oauth2/v2.0/token",
      deviceAuthorization: "/oauth2/v2.0/devicecode",
      device: "/oauth2/deviceauth",
      jwks: "/discovery/v2.0/keys",
    },
    scopes,
    refreshTokens: "kept",
    routes: otherTenants,
    understand: takeOfflineAccess,
    reshape,
  });
  const microsoft: MicrosoftOAuth = { authorityHost: server.url, tenant, server, refusal: undefined };
  return microsoft;

  function reshape(reply: Reply, call: Call): Reply {
    const form = formBody(call);
    if (form.get("grant_type") === "refresh_token" && microsoft.refusal !== undefined) {
      const [error, text] = refusals[microsoft.refusal];
      return refuse(call, 400, error, microsoft.refusal, text);
    }
    const { error, expires_in: expiresIn } = (reply.body ?? {}) as Record<string, unknown>;
    if (reply.status < 400 && typeof expiresIn === "number" && call.operation === "microsoft.token") {
      return { ...reply, body: { ...(reply.body as object), ext_expires_in: expiresIn } };
    }
    return typeof error === "string" ? inMicrosoftsWords(call, error, form) : reply;
  }

  function inMicrosoftsWords(call: Call, error: string, form: URLSearchParams): Reply {
    const client = registered.get(form.get("client_id") ?? "");
    const sendsSecret = form.has("client_secret") || call.headers.authorization !== undefined;
    switch (error) {
      case "invalid_client":
        if (client === undefined) {
          return refuse(call, 400, "unauthorized_client", 700016, "The application was not found.");
        }
        if (client.secret === undefined) {
          return refuse(
            call,
            401,
            error,
            700025,
            "Client is public so a client secret must not be presented.",
          );
        }
        return sendsSecret
          ? refuse(call, 401, error, 7000215, "Invalid client secret provided.")
          : refuse(call, 401, error, 7000218, "The request body must contain a client secret.");
      case "invalid_scope":
        return refuse(
          call,
          400,
          error,
          70011,
          "The provided value for the input parameter 'scope' is not valid.",
        );
      case "authorization_pending":
        return refuse(call, 400, error, 70016, "The end user has not finished authenticating.");
      case "expired_token":
        return refuse(call, 400, error, 70020, "The code has expired.");
      case "access_denied":
        return refuse(call, 400, "authorization_declined", 70018, "The end user denied the request.");
      case "invalid_grant":
        return refuse(call, 400, error, 70000, "The provided grant is invalid or malformed.");
      default:
        return refuse(call, 400, error, 900144, "The request is not valid.");
    }
  }
}

/** Asked for again with every renewal, as Microsoft's documentation has it; the standard takes only what was granted. */
function takeOfflineAccess(form: URLSearchParams): void {
  const scope = form.get("scope");
  if (form.get("grant_type") === "refresh_token" && scope !== null) {
    form.set(
      "scope",
      scope
        .split(" ")
        .filter((one) => one !== "offline_access")
        .join(" "),
    );
  }
}

const otherTenants: readonly Route[] = (["token", "devicecode"] as const).map((endpoint) => ({
  operation: "unknownTenant",
  method: "POST",
  path: `/:tenant/oauth2/v2.0/${endpoint}`,
  handle: (call) => refuse(call, 400, "invalid_request", 90002, `Tenant '${call.params.tenant}' not found.`),
}));

/** Microsoft's shape of an error. */
function refuse(call: Call, status: number, error: string, number: number, text: string): Reply {
  const [trace_id, correlation_id] = [randomUUID(), randomUUID()];
  const timestamp = `${new Date(call.now()).toISOString().slice(0, 19).replace("T", " ")}Z`;
  const tail = `Trace ID: ${trace_id} Correlation ID: ${correlation_id} Timestamp: ${timestamp}`;
  return {
    status,
    body: {
      error,
      error_description: `AADSTS${number}: ${text} ${tail}`,
      error_codes: [number],
      timestamp,
      trace_id,
      correlation_id,
    },
  };
}
