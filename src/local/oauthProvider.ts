import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import {
  type ClientMetadata,
  type Configuration,
  errors,
  type KoaContextWithOIDC,
  Provider,
  type ResourceServer,
} from "oidc-provider";
import { tokenExchange } from "./oauthClients.ts";
import * as pages from "./oauthPages.ts";
import type { Lifetimes, Paths } from "./oauthServer.ts";
import type { OAuthStorage } from "./oauthStorage.ts";
import type { SigningKey } from "./signingKey.ts";

export interface ProviderOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly scopes: readonly string[];
  readonly lifetimes: Lifetimes;
  readonly paths: Paths;
  /** Seconds by which the time in a client's assertion may be off the machine's. */
  readonly clockTolerance: number;
  readonly account: string;
  readonly key: SigningKey;
  readonly storage: OAuthStorage;
  readonly findClient: (clientId: string) => ClientMetadata | undefined;
  /** Whether the client may have a token in exchange for that one. */
  readonly accepts: (clientId: string, subjectToken: string) => Promise<boolean>;
  readonly onDefect: (error: unknown) => void;
}

/** oidc-provider, set up so that nothing of it is left to its development defaults, which print to the console. */
export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(options.issuer, configurationOf(options));
  // TLS ends at the listener before it.
  provider.proxy = true;
  provider.on("server_error", (_ctx, error) => options.onDefect(error));
  provider.use((ctx, next) => {
    const isPage = ctx.path.startsWith("/interaction/");
    return isPage ? interact(provider, options, ctx as KoaContextWithOIDC) : next();
  });
  provider.registerGrantType(tokenExchange, (ctx) => exchange(provider, options, ctx), [
    "scope",
    "resource",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
  ]);
  return provider;
}

function configurationOf({ lifetimes, storage, paths, ...options }: ProviderOptions): Configuration {
  const always = async () => true;
  return {
    adapter: (kind) => {
      const adapter = storage.adapter(kind);
      return kind === "Client" ? { ...adapter, find: async (id) => options.findClient(id) } : adapter;
    },
    jwks: { keys: [options.key.privateJwk] },
    // What a single-page application gets is only for requests with an Origin.
    clientBasedCORS: () => true,
    clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    cookies: { keys: [crypto.randomUUID()] },
    clockTolerance: options.clockTolerance,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      deviceFlow: {
        enabled: true,
        charset: "base-20",
        mask: "****-****",
        userCodeInputSource: (ctx, form, _out, error) => {
          ctx.body = pages.deviceCodePage(form, error !== undefined);
        },
        userCodeConfirmSource: (ctx, form, client, _device, userCode) => {
          ctx.body = pages.deviceConfirmPage(form, client.clientId, userCode);
        },
        successSource: (ctx) => {
          ctx.body = pages.donePage();
        },
      },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => options.audience,
        useGrantedResource: always,
        getResourceServerInfo: (ctx, resource) => resourceServer(options, ctx, resource),
      },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
    },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    formats: {
      customizers: {
        jwt: (_ctx, _token, { payload }) => {
          payload.iat = Number(payload.iat) + storage.aheadBy;
          payload.exp = Number(payload.exp) + storage.aheadBy;
        },
      },
    },
    interactions: {
      url: (_ctx, { uid }) => `${new URL(options.issuer).pathname.replace(/\/$/, "")}/interaction/${uid}`,
    },
    // Whoever may use refresh tokens gets one, asked for or not, as at Entra with `offline_access`.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    pkce: { required: () => true },
    renderError: (ctx, out) => {
      ctx.type = "html";
      ctx.body = pages.errorPage(out.error);
    },
    responseTypes: ["code"],
    // A refresh token is spent by its use; using it again revokes all that came of it.
    rotateRefreshToken: true,
    routes: {
      authorization: paths.authorization,
      token: paths.token,
      device_authorization: paths.deviceAuthorization,
      code_verification: paths.device,
      jwks: paths.jwks,
    },
    ttl: {
      AccessToken: () => lifetimes.accessToken,
      ClientCredentials: () => lifetimes.accessToken,
      AuthorizationCode: () => lifetimes.code,
      DeviceCode: () => lifetimes.deviceCode,
      Grant: () => lifetimes.refreshToken,
      IdToken: () => lifetimes.accessToken,
      Interaction: () => lifetimes.session,
      RefreshToken: () => lifetimes.refreshToken,
      Session: () => lifetimes.session,
    },
  };
}

const openIdScopes = ["openid", "offline_access", "profile", "email"];

function resourceServer(
  { scopes }: Pick<ProviderOptions, "scopes">,
  { oidc }: KoaContextWithOIDC,
  resource: string,
): ResourceServer {
  const asked = String(oidc.params?.scope ?? "").split(" ");
  const unknown = asked.find(
    (scope) => scope !== "" && !openIdScopes.includes(scope) && !scopes.includes(scope),
  );
  if (unknown !== undefined) {
    throw new errors.InvalidScope("unknown scope", unknown);
  }
  return {
    scope: scopes.join(" "),
    audience: resource,
    accessTokenFormat: "jwt",
    jwt: { sign: { alg: "ES256" } },
  };
}

/** RFC 8693, for the subject tokens of federated credentials. */
async function exchange(
  provider: Provider,
  options: ProviderOptions,
  ctx: KoaContextWithOIDC,
): Promise<void> {
  const { client, params = {} } = ctx.oidc;
  const subjectToken = String(params.subject_token ?? "");
  if (client === undefined || !(await options.accepts(client.clientId, subjectToken))) {
    throw new errors.InvalidGrant("subject token not accepted");
  }
  const scope = String(params.scope ?? options.scopes.join(" "));
  const resource = String(params.resource ?? options.audience);
  const token = new provider.ClientCredentials({ client, scope });
  token.resourceServer = new provider.ResourceServer(resource, resourceServer(options, ctx, resource));
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    token_type: "Bearer",
    expires_in: token.expiration,
    scope,
  };
}

/** The page where somebody signs in and allows what is asked for, in one step; or refuses. */
async function interact(
  provider: Provider,
  options: ProviderOptions,
  ctx: KoaContextWithOIDC,
): Promise<void> {
  const { req, res } = ctx;
  const { params, grantId, session } = await provider.interactionDetails(req, res);
  const clientId = String(params.client_id);
  const scopes = String(params.scope ?? "")
    .split(" ")
    .filter((scope) => scope !== "");
  if (ctx.method !== "POST") {
    ctx.type = "html";
    ctx.body = pages.signInPage({ client: clientId, scopes, account: session?.accountId ?? options.account });
    return;
  }
  const form = await formOf(req);
  const accountId = form.get("account")?.trim() ?? "";
  ctx.respond = false;
  if (form.get("decision") !== "allow" || accountId === "") {
    const refused = { error: "access_denied", error_description: "The person refused." };
    await provider.interactionFinished(req, res, refused, { mergeWithLastSubmission: false });
    return;
  }
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
  const grant = known?.accountId === accountId ? known : new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scopes.join(" "));
  grant.addResourceScope(String(params.resource ?? options.audience), scopes.join(" "));
  await provider.interactionFinished(
    req,
    res,
    { login: { accountId }, consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: false },
  );
}

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  return new URLSearchParams(await text(request));
}
