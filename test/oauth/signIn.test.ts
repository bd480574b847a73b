import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { Browser, type Page } from "../../src/local/formBrowser.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { clientSecretBasic } from "../../src/oauth/authentication.ts";
import type { OAuthClient } from "../../src/oauth/client.ts";
import { beginDeviceSignIn, finishDeviceSignIn } from "../../src/oauth/deviceSignIn.ts";
import { beginSignIn, finishSignIn, type SignIn } from "../../src/oauth/signIn.ts";
import { VirtualClock } from "../virtualClock.ts";
import { aContext, assertSilent, failure, holding, type Setup, setUp } from "./setup.ts";

const redirectUri = "http://127.0.0.1:53682/callback";
const scopes = ["openid", "offline_access", "Files.ReadWrite.All"];
/** Began at the machine's time, because an ID token is checked by it. */
const clock = new VirtualClock(systemClock.now());
let setup: Setup;
let server: OAuthServer;

before(async () => {
  setup = await setUp({ clock });
  server = await startOAuthServer(setup.azure, {
    clients: [
      { clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] },
      { clientId: "confidential", secret: "right", redirectUris: [redirectUri] },
    ],
    scopes: ["Files.ReadWrite.All"],
  });
});
after(() => setup[Symbol.asyncDispose]());
afterEach(() => setup.azure.faults.clear());

function discovered(): OAuthClient {
  return setup.client({ server: { issuer: server.issuer } });
}

/** As Entra's endpoints are: nobody says what their issuer is. */
function explicit(): OAuthClient {
  const { tokenEndpoint, authorizationEndpoint, deviceAuthorizationEndpoint } = server;
  return setup.client({ server: { tokenEndpoint, authorizationEndpoint, deviceAuthorizationEndpoint } });
}

async function begin(client: OAuthClient, asked: readonly string[] = scopes): Promise<SignIn> {
  return await beginSignIn(client, { scopes: asked, redirectUri }, aContext());
}

/** Where the browser ends up. */
async function walkThrough(signIn: SignIn, decision = "allow"): Promise<URL> {
  const browser = new Browser(redirectUri);
  const page = await browser.open(signIn.url);
  const end = await browser.submit(page, { account: "user@example.org", decision });
  return end.url;
}

function withParameter(url: URL, name: string, value: string): URL {
  const changed = new URL(url);
  changed.searchParams.set(name, value);
  return changed;
}

describe("a sign-in with a browser", () => {
  it("ends with a refresh token that works, by discovery and by explicit endpoints", async () => {
    for (const client of [discovered(), explicit()]) {
      const signIn = await begin(client);
      const answer = await finishSignIn(client, signIn, await walkThrough(signIn), aContext());
      assert.equal(answer.subject, "user@example.org");
      assert.ok(answer.refreshToken);
      const refreshed = await client.refresh(answer.refreshToken, {}, aContext());
      assert.equal(refreshed.subject, "user@example.org");
      assert.ok(refreshed.refreshToken?.equals(answer.refreshToken) === false);
    }
  });

  it("carries a challenge, a state and a nonce, each new, and no secret", async () => {
    const [one, other] = [await begin(discovered()), await begin(discovered())];
    const parameters = new URL(one.url).searchParams;
    assert.equal(parameters.get("code_challenge_method"), "S256");
    assert.equal(parameters.get("scope"), "openid offline_access Files.ReadWrite.All");
    assert.equal(parameters.get("redirect_uri"), redirectUri);
    for (const name of ["code_challenge", "state", "nonce"]) {
      assert.ok(parameters.get(name));
      assert.notEqual(parameters.get(name), new URL(other.url).searchParams.get(name));
    }
    assert.ok(!one.url.includes(one.codeVerifier));
    assert.equal((await begin(discovered(), ["Files.ReadWrite.All"])).nonce, undefined);
  });

  it("works without OpenID Connect", async () => {
    const client = discovered();
    const signIn = await begin(client, ["Files.ReadWrite.All"]);
    const answer = await finishSignIn(client, signIn, await walkThrough(signIn), aContext());
    assert.equal(answer.subject, undefined);
    assert.ok(answer.refreshToken);
  });

  it("works for a confidential client", async () => {
    const client = setup.client({
      server: { issuer: server.issuer },
      clientId: "confidential",
      authentication: clientSecretBasic(holding("right")),
    });
    const signIn = await begin(client);
    assert.ok((await finishSignIn(client, signIn, await walkThrough(signIn), aContext())).refreshToken);
  });

  it("that somebody refuses says so", async () => {
    const client = discovered();
    const signIn = await begin(client);
    const error = await failure(finishSignIn(client, signIn, await walkThrough(signIn, "deny"), aContext()));
    assert.deepEqual([error.code, error.retryable], ["SignInDenied", false]);
  });

  it("takes no answer that belongs to another one, not even a refusal", async () => {
    const client = discovered();
    const signIn = await begin(client);
    const callback = await walkThrough(signIn);
    const other = withParameter(callback, "state", (await begin(client)).state);
    const without = new URL(callback);
    without.searchParams.delete("state");
    const refusal = new URL(`${redirectUri}?error=access_denied&state=x`);
    const mixedUp = withParameter(callback, "iss", "https://other.example.org");
    for (const url of [other, without, refusal, mixedUp]) {
      const error = await failure(finishSignIn(client, signIn, url, aContext()));
      assert.equal(error.code, "SignInStateMismatch");
      assertSilent(error, callback.searchParams.get("code") ?? "", signIn.codeVerifier, signIn.state);
    }
    assert.ok((await finishSignIn(client, signIn, callback, aContext())).refreshToken);
  });

  it("takes an answer once", async () => {
    const client = discovered();
    const signIn = await begin(client);
    const callback = await walkThrough(signIn);
    await finishSignIn(client, signIn, callback, aContext());
    const error = await failure(finishSignIn(client, signIn, callback, aContext()));
    assert.equal(error.code, "SignInCodeRefused");
    assertSilent(error, callback.searchParams.get("code") ?? "");
  });

  it("takes no ID token that answers another sign-in", async () => {
    for (const client of [discovered(), explicit()]) {
      const signIn = await begin(client);
      const callback = await walkThrough(signIn);
      const error = await failure(
        finishSignIn(client, { ...signIn, nonce: "another" }, callback, aContext()),
      );
      assert.equal(error.code, "TokenAnswerMalformed");
    }
  });

  it("says what the provider found wrong with it", async () => {
    const client = discovered();
    const signIn = await begin(client);
    for (const [answer, code] of [
      ["error=server_error", "ProviderUnavailable"],
      ["error=invalid_scope", "ScopeRefused"],
      ["error=consent_required&error_description=AADSTS65001", "ConsentRequired"],
      ["error=canary-text&error_description=canary-text", "RequestRefused"],
      ["", "TokenAnswerMalformed"],
    ]) {
      const url = new URL(`${redirectUri}?state=${signIn.state}&iss=${server.issuer}&${answer}`);
      const error = await failure(finishSignIn(client, signIn, url, aContext()));
      assert.equal(error.code, code);
      assertSilent(error, "canary-text");
    }
  });

  it("needs an authorization endpoint", async () => {
    const client = setup.client({ server: { tokenEndpoint: server.tokenEndpoint } });
    assert.equal((await failure(begin(client))).code, "EndpointNotOffered");
  });
});

describe("a sign-in on another device", () => {
  async function enter(userCode: string, fields: Record<string, string> = {}): Promise<Page> {
    const browser = new Browser();
    const page = await browser.open(`${server.url}/device`);
    const confirm = await browser.submit(page, { user_code: userCode });
    if (!confirm.html.includes("op.deviceConfirmForm")) {
      return confirm;
    }
    const next = await browser.submit(confirm, fields);
    return next.html.includes('name="account"')
      ? await browser.submit(next, { account: "user@example.org", decision: "allow" })
      : next;
  }

  it("waits until the code is entered, and no longer", async () => {
    for (const client of [discovered(), explicit()]) {
      const signIn = await beginDeviceSignIn(client, { scopes }, aContext());
      assert.match(signIn.userCode, /^[A-Z]{4}-[A-Z]{4}$/);
      assert.equal(signIn.verificationUri, `${server.url}/device`);
      assert.equal(signIn.expiresAt, clock.now() + 900_000);
      const asked = setup.azure.requests.count("oauth.token");
      const waiting = finishDeviceSignIn(client, signIn, aContext());
      await clock.advance(signIn.intervalMs);
      await until(() => setup.azure.requests.count("oauth.token") === asked + 1 && clock.sleeping === 1);
      const page = await enter(signIn.userCode);
      assert.match(page.html, /You can close this window/);
      const answer = await clock.run(waiting);
      assert.equal(answer.subject, "user@example.org");
      assert.ok(answer.refreshToken);
      assert.equal(setup.azure.requests.count("oauth.token"), asked + 2);
    }
  });

  it("asks less often when the provider says so, and again when it is not available", async () => {
    const client = discovered();
    const signIn = await beginDeviceSignIn(client, { scopes }, aContext());
    const startedAt = clock.now();
    const answer = (status: number, error: string) =>
      setup.azure.faults.inject({
        operation: "oauth.token",
        kind: "answer",
        status,
        body: { error },
        times: 1,
      });
    answer(400, "slow_down");
    answer(503, "temporarily_unavailable");
    answer(400, "access_denied");
    const error = await failure(clock.run(finishDeviceSignIn(client, signIn, aContext())));
    assert.equal(error.code, "SignInDenied");
    assert.equal(clock.now() - startedAt, 5000 + 10_000 + 10_000);
  });

  it("says that it was refused, or that nobody came", async () => {
    const client = discovered();
    const refused = await beginDeviceSignIn(client, { scopes }, aContext());
    await enter(refused.userCode, { abort: "yes" });
    const denied = await failure(clock.run(finishDeviceSignIn(client, refused, aContext())));
    assert.equal(denied.code, "SignInDenied");

    const forgotten = await beginDeviceSignIn(client, { scopes }, aContext());
    setup.azure.faults.inject({
      operation: "oauth.token",
      kind: "answer",
      status: 400,
      body: { error: "authorization_pending" },
    });
    const late = await failure(clock.run(finishDeviceSignIn(client, forgotten, aContext())));
    assert.equal(late.code, "SignInTimedOut");
    assert.ok(clock.now() >= forgotten.expiresAt);
    assertSilent(late, forgotten.deviceCode.reveal());
  });

  it("ends with its signal", async () => {
    const client = discovered();
    const signIn = await beginDeviceSignIn(client, { scopes }, aContext());
    const stopped = new AbortController();
    const reason = new Error("interrupted");
    const waiting = finishDeviceSignIn(client, signIn, aContext(stopped.signal));
    stopped.abort(reason);
    await assert.rejects(waiting, reason);
  });

  it("needs an endpoint for it", async () => {
    const client = setup.client({ server: { tokenEndpoint: server.tokenEndpoint } });
    const error = await failure(beginDeviceSignIn(client, {}, aContext()));
    assert.equal(error.code, "EndpointNotOffered");
  });
});

/** Lets requests go on until it is so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await clock.settle();
  }
}
