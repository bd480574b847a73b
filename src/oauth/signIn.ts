import * as oauth from "oauth4webapi";
import { RotatorError } from "../errors.ts";
import type { CallContext } from "../ports.ts";
import type { TokenAnswer } from "./answer.ts";
import { type Asked, type OAuthClient, parametersOf } from "./client.ts";
import { oauthProblems } from "./problems.ts";
import { refusalError } from "./refusals.ts";

export interface SignInRequest extends Asked {
  /** The exact address that the browser comes back to: `http://127.0.0.1:PORT/callback`. */
  readonly redirectUri: string;
}

/** A sign-in that has begun: everything that its end must fit. Keep it in memory only. */
export interface SignIn {
  /** What to open in the browser. Carries no secret. */
  readonly url: string;
  readonly redirectUri: string;
  readonly state: string;
  readonly codeVerifier: string;
  /** Only for OpenID Connect, where `openid` is among the scopes. */
  readonly nonce: string | undefined;
}

/**
 * Begins a sign-in by authorization code with PKCE (S256).
 * @throws RotatorError `EndpointNotOffered` where the server has no authorization endpoint; those of discovery.
 */
export async function beginSignIn(
  client: OAuthClient,
  request: SignInRequest,
  context: CallContext,
): Promise<SignIn> {
  const { metadata } = await client.server(context);
  if (metadata.authorization_endpoint === undefined) {
    throw new RotatorError(oauthProblems.EndpointNotOffered);
  }
  const codeVerifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = request.scopes?.includes("openid") ? oauth.generateRandomNonce() : undefined;
  const url = new URL(metadata.authorization_endpoint);
  const parameters = parametersOf(request);
  parameters.set("client_id", client.clientId);
  parameters.set("response_type", "code");
  parameters.set("redirect_uri", request.redirectUri);
  parameters.set("code_challenge", await oauth.calculatePKCECodeChallenge(codeVerifier));
  parameters.set("code_challenge_method", "S256");
  parameters.set("state", state);
  if (nonce !== undefined) {
    parameters.set("nonce", nonce);
  }
  for (const [name, value] of parameters) {
    url.searchParams.set(name, value);
  }
  return { url: url.href, redirectUri: request.redirectUri, state, codeVerifier, nonce };
}

/**
 * Ends a sign-in with the address that the browser came back to.
 * @throws RotatorError `SignInStateMismatch`, `SignInDenied`, `SignInCodeRefused`, and those of every grant.
 */
export async function finishSignIn(
  client: OAuthClient,
  signIn: SignIn,
  callback: URL,
  context: CallContext,
): Promise<TokenAnswer> {
  const { metadata, issuerKnown } = await client.server(context);
  const answer = new URLSearchParams(callback.searchParams);
  const issuer = answer.get("iss");
  if (
    answer.get("state") !== signIn.state ||
    // RFC 9207: the answer of another server than the one that was asked.
    (issuerKnown && issuer !== null && issuer !== metadata.issuer)
  ) {
    throw new RotatorError(oauthProblems.SignInStateMismatch);
  }
  if (answer.has("error")) {
    throw refusalError({
      grant: "authorizationCode",
      url: new URL(metadata.authorization_endpoint ?? metadata.issuer),
      // The browser brought it, so there is no status; 400 is what the error means.
      status: 400,
      headers: new Headers(),
      body: Object.fromEntries(answer),
    });
  }
  if (!issuerKnown) {
    // Nothing to compare it with.
    answer.delete("iss");
  }
  return client.send("authorizationCode", context, {
    nonce: signIn.nonce,
    send: ({ server, client, authentication, options }) =>
      oauth.authorizationCodeGrantRequest(
        server,
        client,
        authentication,
        oauth.validateAuthResponse(server, client, answer, signIn.state),
        signIn.redirectUri,
        signIn.codeVerifier,
        options,
      ),
  });
}
