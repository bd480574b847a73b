import type { JWTPayload } from "jose";
import { systemClock } from "../clock.ts";
import type { Issuer } from "./issuer.ts";
import { answerWith } from "./nodeListener.ts";
import { ClientRegistry, type RegisteredClient } from "./oauthClients.ts";
import { OAuthStorage } from "./oauthStorage.ts";
import { type Call, type EmbeddedHost, formBody, type Reply, type Route } from "./service.ts";
import { createSigningKey, type SigningKey } from "./signingKey.ts";

export interface OAuthServerOptions {
  /** First part of the names of its operations: `oauth` makes `oauth.token`. Default `oauth`. */
  readonly name?: string;
  /** Default an ephemeral port. */
  readonly port?: number;
  /** Path of the issuer; its endpoints are below. Default none. */
  readonly issuerPath?: string;
  /** Paths of the endpoints, below that of the issuer. */
  readonly paths?: Partial<Paths>;
  readonly clients?: readonly RegisteredClient[];
  /** Audience of the access tokens, where the client does not ask for another (`resource`). Default the server's URL. */
  readonly audience?: string;
  /** What may be asked for beside `openid` and `offline_access`. Default `all-apis`. */
  readonly scopes?: readonly string[];
  readonly lifetimes?: Partial<Lifetimes>;
  /**
   * `once`: a refresh token is spent by its use, and using it again revokes all that came of it. `kept`: it stays valid
   * beside the new one. Default `once`.
   */
  readonly refreshTokens?: "once" | "kept";
  /** Verifies the tokens of federated credentials. Default: there are none. */
  readonly federation?: Pick<Issuer, "verify">;
  /** Whoever signs in without typing another name. */
  readonly account?: string;
  /** Further routes of the same listener. */
  readonly routes?: readonly Route[];
  /** Changes a token request to what the library understands, for providers that take more than the standard. */
  readonly understand?: (form: URLSearchParams) => void;
  /** Rewrites what goes out, for providers with shapes of their own. */
  readonly reshape?: (reply: Reply, call: Call) => Reply | Promise<Reply>;
}

/** An embedded host, or an embedded Azure. */
export type OAuthServerHost = Pick<EmbeddedHost, "clock" | "requests" | "serve">;

export interface Paths {
  readonly authorization: string;
  readonly token: string;
  readonly deviceAuthorization: string;
  /** The page where the code of a device is entered. */
  readonly device: string;
  readonly jwks: string;
}

/** All in seconds. */
export interface Lifetimes {
  accessToken: number;
  refreshToken: number;
  code: number;
  deviceCode: number;
  session: number;
}

/** An authorization server by oidc-provider, in this process. */
export interface OAuthServer {
  /** Of the listener, without a trailing slash. */
  readonly url: string;
  readonly issuer: string;
  readonly tokenEndpoint: string;
  readonly authorizationEndpoint: string;
  readonly deviceAuthorizationEndpoint: string;
  /** Of access tokens, where the client does not ask for another. */
  readonly audience: string;
  /** What it signs with; for other tokens of the same provider. */
  readonly key: SigningKey;
  /** For tokens issued from now on. */
  readonly lifetimes: Lifetimes;
  /** Adds an application or replaces the one of that id. */
  register(client: RegisteredClient): void;
  /** Revokes every refresh token, as an administrator does. */
  revokeRefreshTokens(): void;
  /**
   * Checks signature, issuer, audience and lifetime of an access token.
   * @param now Milliseconds since the epoch by the clock of whoever checks.
   * @throws TokenRefused
   */
  verify(token: string, now: number): Promise<JWTPayload>;
}

const defaultPaths: Paths = {
  authorization: "/authorize",
  token: "/token",
  deviceAuthorization: "/device/code",
  device: "/device",
  jwks: "/keys",
};

const defaultLifetimes: Lifetimes = {
  accessToken: 3600,
  refreshToken: 90 * 86_400,
  code: 60,
  deviceCode: 900,
  session: 3600,
};

/**
 * Starts an authorization server with a listener of its own. Everything it issues lives by the host's clock, but for ID
 * tokens, whose times are the machine's.
 */
export async function startOAuthServer(
  host: OAuthServerHost,
  options: OAuthServerOptions = {},
): Promise<OAuthServer> {
  // Loaded only where one is started: it takes longer than the rest of the embedded Azure.
  const [{ createProvider }, key] = await Promise.all([import("./oauthProvider.ts"), createSigningKey()]);
  const { issuerPath = "", scopes = ["all-apis"], account = "somebody@example.org" } = options;
  const paths = { ...defaultPaths, ...options.paths };
  const lifetimes = { ...defaultLifetimes, ...options.lifetimes };
  const storage = new OAuthStorage(() => host.clock.now(), options.refreshTokens ?? "once");
  const clients = new ClientRegistry(options.federation);
  for (const client of options.clients ?? []) {
    clients.register(client);
  }

  // The routes must be known before the address is, and the provider is made with the address.
  let answer: ((call: Call) => Promise<Reply>) | undefined;
  const handle = async (call: Call): Promise<Reply> => (await answer?.(call)) ?? { status: 503 };
  const url = await host.serve({
    name: options.name ?? "oauth",
    ...(options.port === undefined ? {} : { port: options.port }),
    routes: [
      ...routesOf(issuerPath, paths).map((route) => ({ ...route, handle })),
      ...(options.routes ?? []),
    ],
    errorBody: (status, message) => ({ error: errorOf(status), error_description: message }),
  });
  const issuer = `${url}${issuerPath}`;
  const audience = options.audience ?? url;
  const provider = createProvider({
    issuer,
    audience,
    scopes,
    lifetimes,
    paths,
    // oidc-provider compares with the machine's clock, of which a virtual one is anywhere.
    clockTolerance: host.clock === systemClock ? 60 : 10 ** 9,
    account,
    key,
    storage,
    findClient: (clientId) => clients.find(clientId),
    accepts: (clientId, token) => clients.accepts(clientId, token, host.clock.now()),
    onDefect: (error) => void host.requests.defects.push(error),
  });
  const callback = provider.callback();
  const forward = answerWith((request, response) => {
    // As Express mounts an application below a path, which the provider understands.
    request.url = (request.url ?? "").slice(issuerPath.length);
    Object.assign(request, { baseUrl: issuerPath });
    callback(request, response);
  });
  answer = async (call) => {
    const form = call.operation.endsWith(".token") ? await clients.vouch(call) : undefined;
    if (form !== undefined) {
      options.understand?.(form);
    }
    const reply = await forward(call, {
      target: targetOf(call, issuerPath),
      headers: { "x-forwarded-proto": "https" },
      ...(form === undefined ? {} : { body: Buffer.from(form.toString()) }),
    });
    const parsed = withParsedJson(reply);
    return options.reshape?.(parsed, call) ?? parsed;
  };

  return {
    url,
    issuer,
    audience,
    tokenEndpoint: `${issuer}${paths.token}`,
    authorizationEndpoint: `${issuer}${paths.authorization}`,
    deviceAuthorizationEndpoint: `${issuer}${paths.deviceAuthorization}`,
    lifetimes,
    key,
    register: (client) => clients.register(client),
    revokeRefreshTokens: () => storage.forget("RefreshToken"),
    verify: (token, now) => key.verify(token, { issuer, audience, now }),
  };
}

/** Everything that the provider answers, with names for faults and the log. */
function routesOf(prefix: string, paths: Paths): readonly Omit<Route, "handle">[] {
  const wellKnown = "/.well-known";
  return [
    { operation: "openidMetadata", method: "GET", path: `${prefix}${wellKnown}/openid-configuration` },
    { operation: "oauthMetadata", method: "GET", path: `${prefix}${wellKnown}/oauth-authorization-server` },
    // RFC 8414, section 3: the path of the issuer comes last.
    { operation: "oauthMetadata", method: "GET", path: `${wellKnown}/oauth-authorization-server${prefix}` },
    { operation: "keys", method: "GET", path: `${prefix}${paths.jwks}` },
    { operation: "token", method: "POST", path: `${prefix}${paths.token}`, target: grantOf },
    { operation: "deviceAuthorization", method: "POST", path: `${prefix}${paths.deviceAuthorization}` },
    { operation: "device", method: "GET", path: `${prefix}${paths.device}` },
    { operation: "device", method: "POST", path: `${prefix}${paths.device}` },
    { operation: "device", method: "GET", path: `${prefix}${paths.device}/:interaction` },
    { operation: "authorize", method: "GET", path: `${prefix}${paths.authorization}` },
    { operation: "authorize", method: "GET", path: `${prefix}${paths.authorization}/:interaction` },
    { operation: "signInPage", method: "GET", path: `${prefix}/interaction/:interaction` },
    { operation: "signIn", method: "POST", path: `${prefix}/interaction/:interaction` },
  ];
}

/** What a token request is about: its grant, such as `refresh_token` or `token-exchange`. */
function grantOf(call: Call): string {
  const grant = formBody(call).get("grant_type") ?? "";
  return /[\w-]*$/.exec(grant)?.[0] ?? "";
}

function targetOf({ path, query }: Call, prefix: string): string {
  const own = path.startsWith(`${prefix}/`) ? path : `${prefix}${path.slice(0, path.length - prefix.length)}`;
  return query.size === 0 ? own : `${own}?${query}`;
}

/** So that who reshapes an answer need not parse it. */
function withParsedJson(reply: Reply): Reply {
  const { "content-type": type = "", ...headers } = reply.headers ?? {};
  return type.startsWith("application/json") && Buffer.isBuffer(reply.body)
    ? { status: reply.status, headers, body: JSON.parse(reply.body.toString("utf8")) }
    : reply;
}

function errorOf(status: number): string {
  return status >= 500 ? "server_error" : status === 429 ? "temporarily_unavailable" : "invalid_request";
}
