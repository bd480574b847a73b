import { type ClientAuthentication, publicClient } from "../oauth/authentication.ts";
import { createOAuthClient, type OAuthEnvironment } from "../oauth/client.ts";
import { beginSignIn, finishSignIn } from "../oauth/signIn.ts";
import { Browser } from "./formBrowser.ts";
import type { OAuthServer } from "./oauthServer.ts";

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
  const context = { signal: AbortSignal.timeout(30_000), giveUpAt: environment.clock.now() + 30_000 };
  const signIn = await beginSignIn(client, { scopes, redirectUri }, context);
  const browser = new Browser(redirectUri);
  const page = await browser.open(signIn.url);
  const { url } = await browser.submit(page, { account: "somebody@example.org", decision: "allow" });
  const { refreshToken } = await finishSignIn(client, signIn, url, context);
  if (refreshToken === undefined) {
    throw new Error("The server gave no refresh token: offline_access is missing from the scopes.");
  }
  return refreshToken.reveal();
}
