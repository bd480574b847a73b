import assert from "node:assert/strict";
import type { OAuthServer } from "../../src/local/oauthServer.ts";
import { type ClientAuthentication, publicClient } from "../../src/oauth/authentication.ts";
import { createOAuthClient, type OAuthEnvironment } from "../../src/oauth/client.ts";
import { beginSignIn, finishSignIn } from "../../src/oauth/signIn.ts";
import { Browser } from "../local/browser.ts";
import { aContext } from "../oauth/setup.ts";

const redirectUri = "http://127.0.0.1:53682/callback";

/** The refresh token that somebody gets who signs in at the server; the client has the redirect address `/callback`. */
export async function signedIn(
  server: OAuthServer,
  environment: OAuthEnvironment,
  {
    scopes,
    clientId = "rotator",
    authentication = publicClient,
  }: { scopes: readonly string[]; clientId?: string; authentication?: ClientAuthentication },
): Promise<string> {
  const { tokenEndpoint, authorizationEndpoint } = server;
  const client = createOAuthClient(
    { server: { tokenEndpoint, authorizationEndpoint }, clientId, authentication },
    environment,
  );
  const signIn = await beginSignIn(client, { scopes, redirectUri }, aContext());
  const browser = new Browser(redirectUri);
  const page = await browser.open(signIn.url);
  const { url } = await browser.submit(page, { account: "somebody@example.org", decision: "allow" });
  const { refreshToken } = await finishSignIn(client, signIn, url, aContext());
  assert.ok(refreshToken);
  return refreshToken.reveal();
}
