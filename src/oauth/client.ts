import * as oauth from "oauth4webapi";
import { decodeJwt } from "../checks/jwt.ts";
import { systemClock } from "../clock.ts";
import type { SourceEnvironment } from "../plugins.ts";
import type { CallContext, Clock } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import { readAnswer, type TokenAnswer } from "./answer.ts";
import type { ClientAuthentication } from "./authentication.ts";
import { endpointFetch, type JsonObject } from "./endpoint.ts";
import { asProblem } from "./libraryErrors.ts";
import type { Grant } from "./refusals.ts";
import { type AuthorizationServer, type ServerAddress, ServerMetadata } from "./server.ts";

export type OAuthEnvironment = Pick<SourceEnvironment, "clock" | "fetch">;

export interface OAuthClientOptions {
  readonly server: ServerAddress;
  /** Absent only with `noClient`. */
  readonly clientId: string | undefined;
  readonly authentication: ClientAuthentication;
}

/** What a token is asked for. Everything is optional: a provider has defaults. */
export interface Asked {
  /** Sent joined by spaces. */
  readonly scopes?: readonly string[] | undefined;
  /** `audience`, as Auth0 and RFC 8693 have it. */
  readonly audience?: string | undefined;
  /** `resource` (RFC 8707). */
  readonly resource?: string | undefined;
  /** Further parameters of the provider; no secrets. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

/** Sees a successful answer before it is checked. */
export interface Adapting {
  /** Brings the provider's own shape of an answer into `{access_token, token_type, …}`; or only looks at it. */
  readonly adapt?: ((body: JsonObject) => JsonObject) | undefined;
}

/** A token exchange (RFC 8693). */
export interface Exchange extends Asked, Adapting {
  readonly subjectToken: SecretValue;
  /** `urn:ietf:params:oauth:token-type:jwt`; Oracle's identity domains say `jwt`. */
  readonly subjectTokenType: string;
  readonly requestedTokenType?: string | undefined;
}

/**
 * One client at one authorization server. Stateless but for the server's metadata, which is kept once it could be read
 * and read again after a failure.
 *
 * Every method throws RotatorError of `oauthProblems` (and what the client's secret loader throws), or the signal's reason
 * once it aborts. `ambiguous` is set where the provider may have acted although no token came back.
 */
export interface OAuthClient {
  /** `none` with `noClient`. */
  readonly clientId: string;
  readonly authentication: ClientAuthentication;
  readonly environment: OAuthEnvironment;
  clientCredentials(asked: Asked, context: CallContext): Promise<TokenAnswer>;
  refresh(refreshToken: SecretValue, asked: Asked & Adapting, context: CallContext): Promise<TokenAnswer>;
  exchange(exchange: Exchange, context: CallContext): Promise<TokenAnswer>;
  /** The server's metadata; discovered where only the issuer is known. */
  server(context: CallContext): Promise<AuthorizationServer>;
  /** What the grants are made of; for those that need a person, see signIn.ts and deviceSignIn.ts. */
  send(grant: Grant, context: CallContext, request: GrantRequest): Promise<TokenAnswer>;
}

export interface GrantRequest extends Adapting {
  readonly send: (call: GrantCall) => Promise<Response>;
  /** Checks the ID token too: the answer to an authorization request that carried this nonce. */
  readonly nonce?: string | undefined;
}

/** The arguments that the request functions of oauth4webapi take. */
export interface GrantCall {
  readonly server: oauth.AuthorizationServer;
  readonly client: oauth.Client;
  readonly authentication: oauth.ClientAuth;
  readonly options: oauth.TokenEndpointRequestOptions;
}

export function createOAuthClient(options: OAuthClientOptions, environment: OAuthEnvironment): OAuthClient {
  const { clock } = environment;
  const { authentication } = options;
  // The library wants one even where none is sent.
  const clientId = options.clientId ?? "none";
  const metadata = new ServerMetadata(options.server, environment);

  const send = async (grant: Grant, context: CallContext, request: GrantRequest): Promise<TokenAnswer> => {
    const server = await metadata.read(context);
    const { token_endpoint: endpoint = "" } = server.metadata;
    const facts = URL.canParse(endpoint) ? { host: new URL(endpoint).host } : {};
    const client = libraryClient(clientId, clock);
    const clientAuthentication = await authentication(context);
    const startedAt = clock.now();
    let idToken: SecretValue | undefined;
    const fetch = endpointFetch(environment, grant, (body) => {
      const { id_token: given, ...rest } = request.adapt?.(body) ?? body;
      idToken = typeof given === "string" ? new SecretValue(given) : undefined;
      // Without a nonce there is nothing to check it against; only its subject is looked at.
      return request.nonce === undefined ? rest : { ...rest, id_token: given };
    });
    try {
      const response = await request.send({
        server: server.metadata,
        client,
        authentication: clientAuthentication,
        options: { ...server.insecure, [oauth.customFetch]: fetch, signal: context.signal },
      });
      const checkedBy = server.issuerKnown ? server.metadata : { ...server.metadata, ...vouchedBy(idToken) };
      const body = await oauth.processAuthorizationCodeResponse(checkedBy, client, response, {
        // RFC 8693: what an exchange issues need not be an access token.
        recognizedTokenTypes: { n_a: () => {} },
        ...(request.nonce === undefined ? {} : { expectedNonce: request.nonce }),
      });
      return readAnswer(body, idToken, startedAt, facts);
    } catch (error) {
      context.signal.throwIfAborted();
      const problem = asProblem(error, facts);
      metadata.forgetAfter(problem);
      throw problem;
    }
  };

  return {
    clientId,
    authentication,
    environment,
    send,
    server: (context) => metadata.read(context),
    clientCredentials: (asked, context) =>
      send("clientCredentials", context, {
        send: ({ server, client, authentication, options }) =>
          oauth.clientCredentialsGrantRequest(server, client, authentication, parametersOf(asked), options),
      }),
    refresh: (refreshToken, asked, context) =>
      send("refreshToken", context, {
        adapt: asked.adapt,
        send: ({ server, client, authentication, options }) =>
          oauth.refreshTokenGrantRequest(server, client, authentication, refreshToken.reveal(), {
            ...options,
            additionalParameters: parametersOf(asked),
          }),
      }),
    exchange: (exchange, context) =>
      send("tokenExchange", context, {
        adapt: exchange.adapt,
        send: ({ server, client, authentication, options }) => {
          const parameters = parametersOf(exchange);
          parameters.set("subject_token", exchange.subjectToken.reveal());
          parameters.set("subject_token_type", exchange.subjectTokenType);
          if (exchange.requestedTokenType !== undefined) {
            parameters.set("requested_token_type", exchange.requestedTokenType);
          }
          const grantType = "urn:ietf:params:oauth:grant-type:token-exchange";
          return oauth.genericTokenEndpointRequest(
            server,
            client,
            authentication,
            grantType,
            parameters,
            options,
          );
        },
      }),
  };
}

export function parametersOf({ scopes, audience, resource, parameters }: Asked): URLSearchParams {
  const result = new URLSearchParams(parameters);
  if (scopes !== undefined && scopes.length > 0) {
    result.set("scope", scopes.join(" "));
  }
  if (audience !== undefined) {
    result.set("audience", audience);
  }
  if (resource !== undefined) {
    result.set("resource", resource);
  }
  return result;
}

/** oauth4webapi reads the machine's clock; the skew makes it ours. */
export function libraryClient(clientId: string, clock: Clock): oauth.Client {
  return {
    client_id: clientId,
    [oauth.clockSkew]: Math.round((clock.now() - systemClock.now()) / 1000),
  };
}

/**
 * Where only endpoints are configured, the connection to the token endpoint vouches for the ID token (OpenID Connect Core,
 * section 3.1.3.7) and the issuer is what it says: Entra's `common` endpoints answer in the name of the user's tenant.
 */
function vouchedBy(idToken: SecretValue | undefined): Partial<oauth.AuthorizationServer> {
  const issuer = idToken === undefined ? undefined : decodeJwt(idToken)?.claims.iss;
  return {
    id_token_signing_alg_values_supported: ["RS256", "PS256", "ES256", "ES384", "Ed25519"],
    ...(typeof issuer === "string" ? { issuer } : {}),
  };
}
