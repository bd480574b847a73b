import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { createRemoteJWKSet, decodeJwt, jwtVerify } from "jose";
import { Browser } from "../../src/local/formBrowser.ts";
import { TokenRefused } from "../../src/local/issuer.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import type { TokenAnswer } from "../../src/oauth/answer.ts";
import type { OAuthClient } from "../../src/oauth/client.ts";
import { beginSignIn, finishSignIn } from "../../src/oauth/signIn.ts";
import type { SecretValue } from "../../src/secretValue.ts";
import { hours, minutes, seconds } from "../builders.ts";
import { aContext, failure, type Setup, setUp } from "../oauth/setup.ts";
import { VirtualClock } from "../virtualClock.ts";

const redirectUri = "http://127.0.0.1:53682/callback";
const clock = new VirtualClock();
let setup: Setup;
let server: OAuthServer;
let client: OAuthClient;

before(async () => {
  setup = await setUp({ clock });
  server = await startOAuthServer(setup.azure, {
    clients: [{ clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] }],
    scopes: ["read"],
    audience: "https://api.example.org",
    lifetimes: { accessToken: 600, refreshToken: 7200 },
    account: "user@example.org",
  });
  client = setup.client({ server: { issuer: server.issuer } });
});
after(() => setup[Symbol.asyncDispose]());
afterEach(() => setup.azure.faults.clear());

async function signIn(): Promise<TokenAnswer & { readonly refreshToken: SecretValue }> {
  const begun = await beginSignIn(client, { scopes: ["read"], redirectUri }, aContext());
  const browser = new Browser(redirectUri);
  const page = await browser.open(begun.url);
  assert.match(page.html, /value="user@example.org"/);
  const { url } = await browser.submit(page, { account: "user@example.org", decision: "allow" });
  const { refreshToken, ...answer } = await finishSignIn(client, begun, url, aContext());
  assert.ok(refreshToken);
  return { ...answer, refreshToken };
}

async function refresh(token: SecretValue): Promise<SecretValue> {
  const { refreshToken } = await client.refresh(token, {}, aContext());
  assert.ok(refreshToken);
  return refreshToken;
}

async function isRefused(token: SecretValue): Promise<void> {
  assert.equal((await failure(client.refresh(token, {}, aContext()))).code, "RefreshTokenRefused");
}

describe("the embedded authorization server", () => {
  it("issues JWTs by its own clock, which its published keys verify", async () => {
    const { accessToken } = await signIn();
    const claims = decodeJwt(accessToken.reveal());
    assert.equal(claims.iat, clock.now() / 1000);
    assert.equal(claims.exp, clock.now() / 1000 + 600);
    assert.deepEqual([claims.sub, claims.scope], ["user@example.org", "read"]);
    const keys = createRemoteJWKSet(new URL(`${server.url}/keys`));
    await jwtVerify(accessToken.reveal(), keys, {
      issuer: server.issuer,
      audience: "https://api.example.org",
      currentDate: new Date(clock.now()),
    });
  });

  it("verifies its tokens for the APIs behind it", async () => {
    const token = (await signIn()).accessToken.reveal();
    assert.equal((await server.verify(token, clock.now())).sub, "user@example.org");
    const refusal = (reason: string) => (error: unknown) =>
      error instanceof TokenRefused && error.reason === reason;
    await assert.rejects(server.verify(token, clock.now() + 10 * minutes), refusal("expired"));
    await server.verify(token, clock.now() + 10 * minutes - seconds);
    await assert.rejects(server.verify("opaque", clock.now()), refusal("malformed"));
    const forged = `${token.slice(0, -8)}${"A".repeat(8)}`;
    await assert.rejects(server.verify(forged, clock.now()), refusal("signature"));
    const other = await startOAuthServer(setup.azure, { name: "other" });
    const claims = { sub: "x", exp: clock.now() / 1000 + 60 };
    const foreign = await server.key.sign({ ...claims, iss: other.issuer, aud: server.audience });
    await assert.rejects(server.verify(foreign, clock.now()), refusal("issuer"));
    const elsewhere = await server.key.sign({ ...claims, iss: server.issuer, aud: "x" });
    await assert.rejects(server.verify(elsewhere, clock.now()), refusal("audience"));
  });

  it("rotates refresh tokens; one that is used twice ends all that came of it", async () => {
    const first = (await signIn()).refreshToken;
    const second = await refresh(first);
    const third = await refresh(second);
    await isRefused(first);
    await isRefused(third);
    await refresh((await signIn()).refreshToken);
  });

  it("has rotated a refresh token also when the answer was lost", async () => {
    const { refreshToken } = await signIn();
    setup.azure.faults.inject({
      operation: "oauth.token",
      match: "refresh_token",
      kind: "lostResponse",
      times: 1,
    });
    const error = await failure(client.refresh(refreshToken, {}, aContext()));
    assert.equal(error.ambiguous, true);
    await isRefused(refreshToken);
  });

  it("lets refresh tokens expire by its own clock", async () => {
    const [one, other] = [(await signIn()).refreshToken, (await signIn()).refreshToken];
    await clock.advance(2 * hours - seconds);
    await refresh(one);
    await clock.advance(seconds);
    await isRefused(other);
  });

  it("revokes refresh tokens", async () => {
    const { refreshToken } = await signIn();
    server.revokeRefreshTokens();
    await isRefused(refreshToken);
  });

  it("begins no sign-in without PKCE, for an unknown client or to an unknown address", async () => {
    const begun = await beginSignIn(client, { scopes: ["read"], redirectUri }, aContext());
    const changed = (changes: Record<string, string | undefined>) => {
      const url = new URL(begun.url);
      for (const [name, value] of Object.entries(changes)) {
        value === undefined ? url.searchParams.delete(name) : url.searchParams.set(name, value);
      }
      return new Browser(redirectUri).open(url);
    };
    const errorOf = (page: { url: URL; html: string }) =>
      page.url.searchParams.get("error") ?? /<code>(\w+)<\/code>/.exec(page.html)?.[1];
    const noPkce = { code_challenge: undefined, code_challenge_method: undefined };
    assert.equal(errorOf(await changed(noPkce)), "invalid_request");
    assert.equal(errorOf(await changed({ code_challenge_method: "plain" })), "invalid_request");
    assert.equal(errorOf(await changed({ client_id: "nobody" })), "invalid_client");
    assert.equal(errorOf(await changed({ redirect_uri: "https://example.org/" })), "invalid_redirect_uri");
    assert.equal(errorOf(await changed({ scope: "write" })), "invalid_scope");
  });

  it("takes a code only with the verifier of its challenge", async () => {
    const begun = await beginSignIn(client, { scopes: ["read"], redirectUri }, aContext());
    const browser = new Browser(redirectUri);
    const { url } = await browser.submit(await browser.open(begun.url), { account: "x", decision: "allow" });
    const stolen = { ...begun, codeVerifier: "x".repeat(43) };
    const error = await failure(finishSignIn(client, stolen, url, aContext()));
    assert.equal(error.code, "SignInCodeRefused");
  });

  it("shows nothing of a client as markup", async () => {
    server.register({ clientId: "<b>bold</b>", redirectUris: [redirectUri] });
    const begun = await beginSignIn(client, { scopes: ["read"], redirectUri }, aContext());
    const url = new URL(begun.url);
    url.searchParams.set("client_id", "<b>bold</b>");
    const page = await new Browser(redirectUri).open(url);
    assert.match(page.html, /&#60;b&#62;bold/);
    assert.ok(!page.html.includes("<b>"));
  });

  it("tells the log what a token request was for, and no secret", async () => {
    setup.azure.requests.clear();
    const { refreshToken } = await signIn();
    await refresh(refreshToken);
    const log = setup.azure.requests.all;
    assert.deepEqual(
      log.filter(({ operation }) => operation === "oauth.token").map(({ target }) => target),
      ["authorization_code", "refresh_token"],
    );
    assert.ok(!JSON.stringify(log).includes(refreshToken.reveal()));
  });

  it("prints nothing", async (context) => {
    const prints = ["log", "info", "warn", "error"].map((name) =>
      context.mock.method(console, name as "log", () => {}),
    );
    const quiet = await startOAuthServer(setup.azure, {
      name: "quiet",
      clients: [{ clientId: "c", secret: "s" }],
    });
    await fetch(`${quiet.url}/.well-known/openid-configuration`);
    await fetch(`${quiet.url}/device`);
    assert.deepEqual(
      prints.map(({ mock }) => mock.callCount()),
      [0, 0, 0, 0],
    );
  });
});
