import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { clientSecretBasic } from "../../src/oauth/authentication.ts";
import type { OAuthClient } from "../../src/oauth/client.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { hours, seconds } from "../builders.ts";
import { VirtualClock } from "../virtualClock.ts";
import { aContext, assertSilent, failure, holding, type Setup, setUp } from "./setup.ts";

const secret = "canary-client-secret-4f1b";
const clock = new VirtualClock();
let setup: Setup;
let server: OAuthServer;

before(async () => {
  setup = await setUp({ clock });
  server = await startOAuthServer(setup.azure, {
    clients: [{ clientId: "rotator", secret }],
    scopes: ["read", "write"],
    audience: "https://api.example.org",
  });
});
after(() => setup[Symbol.asyncDispose]());
afterEach(() => {
  setup.azure.faults.clear();
  setup.azure.requests.clear();
});

function aClient(address: Parameters<Setup["client"]>[0]["server"] = { issuer: server.issuer }): OAuthClient {
  return setup.client({ server: address, authentication: clientSecretBasic(holding(secret)) });
}

describe("the client credentials grant", () => {
  it("gives a token with the expiry that the provider told, counted from the request's start", async () => {
    setup.azure.faults.inject({ operation: "oauth.token", kind: "latency", ms: 4 * seconds });
    const startedAt = clock.now();
    const answer = await clock.run(aClient().clientCredentials({ scopes: ["read", "write"] }, aContext()));
    assert.equal(answer.issuedOn.getTime(), startedAt);
    assert.equal(answer.expiresOn.getTime(), startedAt + hours);
    assert.equal(answer.scope, "read write");
    assert.equal(answer.refreshToken, undefined);
    const claims = await server.verify(answer.accessToken.reveal(), clock.now());
    assert.equal(claims.aud, "https://api.example.org");
  });

  it("takes the token's own expiry where that is earlier", async () => {
    const startedAt = clock.now();
    const token = await server.key.sign({ exp: startedAt / 1000 + 45 });
    answering({ access_token: token, token_type: "bearer", expires_in: 60 });
    const answer = await aClient().clientCredentials({}, aContext());
    assert.equal(answer.expiresOn.getTime(), startedAt + 45 * seconds);
  });

  it("takes the token's own expiry where the provider tells none, and assumes nothing where there is none", async () => {
    const exp = Math.floor(clock.now() / 1000) + 100;
    answering({ access_token: await server.key.sign({ exp }), token_type: "bearer" });
    const answer = await aClient().clientCredentials({}, aContext());
    assert.equal(answer.expiresOn.getTime(), exp * 1000);
    answering({ access_token: "canary-opaque-token", token_type: "bearer" });
    const error = await failure(aClient().clientCredentials({}, aContext()));
    assert.deepEqual([error.code, error.retryable, error.ambiguous], ["ExpiryUnknown", false, true]);
    assertSilent(error, "canary-opaque-token", secret);
  });

  it("asks for a resource and an audience", async () => {
    const answer = await aClient().clientCredentials({ resource: "https://other.example.org" }, aContext());
    const [, payload = ""] = answer.accessToken.reveal().split(".");
    assert.equal(JSON.parse(Buffer.from(payload, "base64url").toString()).aud, "https://other.example.org");
  });

  it("leaves an ID token alone that nobody asked for, but for its subject", async () => {
    const idToken = await server.key.sign({ iss: "https://nobody.example.org", sub: "person-1" });
    answering({ access_token: "opaque", token_type: "Bearer", expires_in: "60", id_token: idToken });
    const answer = await aClient().clientCredentials({}, aContext());
    assert.equal(answer.subject, "person-1");
    assert.equal(answer.expiresOn.getTime(), clock.now() + 60 * seconds);
  });
});

describe("the refresh token grant", () => {
  it("keeps what belongs to the refresh token: a new one, its end, the scope", async () => {
    const given = {
      access_token: "opaque",
      token_type: "Bearer",
      expires_in: 3600,
      refresh_token: "next",
      scope: "read",
    };
    answering({ ...given, refresh_token_expires_in: 86_400 });
    const answer = await aClient().refresh(new SecretValue("first"), { scopes: ["read"] }, aContext());
    assert.equal(answer.refreshToken?.reveal(), "next");
    assert.equal(answer.refreshTokenExpiresOn?.getTime(), clock.now() + 24 * hours);
    assert.equal(answer.scope, "read");
    for (const [name, value] of [
      ["refresh_expires_in", 0],
      ["refresh_token_expires_in", "soon"],
      ["refresh_token_expires_in", 1e300],
    ] as const) {
      answering({ ...given, [name]: value });
      const without = await aClient().refresh(new SecretValue("first"), {}, aContext());
      assert.equal(without.refreshTokenExpiresOn, undefined, name);
    }
  });

  it("says that the refresh token is no longer accepted", async () => {
    const error = await failure(aClient().refresh(new SecretValue("canary-refresh-token"), {}, aContext()));
    assert.deepEqual(
      [error.code, error.retryable, error.facts.error, error.facts.httpStatus],
      ["RefreshTokenRefused", false, "invalid_grant", 400],
    );
    assertSilent(error, "canary-refresh-token", secret);
  });
});

describe("discovery", () => {
  it("is done once, and not again for every token", async () => {
    const client = aClient();
    await client.clientCredentials({}, aContext());
    await client.clientCredentials({}, aContext());
    assert.equal(setup.azure.requests.count("oauth.openidMetadata"), 1);
    assert.equal(setup.azure.requests.count("oauth.token"), 2);
  });

  it("is not needed where the token endpoint is given", async () => {
    await aClient({ tokenEndpoint: server.tokenEndpoint }).clientCredentials({}, aContext());
    assert.deepEqual(Object.keys(setup.azure.requests.counts), ["oauth.token"]);
  });

  it("does not remember a failure", async () => {
    const client = aClient();
    setup.azure.faults.inject({ operation: "oauth.openidMetadata", kind: "answer", status: 503, times: 1 });
    const error = await failure(client.clientCredentials({}, aContext()));
    assert.deepEqual([error.code, error.retryable], ["ProviderUnavailable", true]);
    await client.clientCredentials({}, aContext());
  });

  it("is done again when the token endpoint is gone, and not when a request was refused", async () => {
    const client = aClient();
    await client.clientCredentials({}, aContext());
    setup.azure.faults.inject({
      operation: "oauth.token",
      kind: "answer",
      status: 400,
      times: 1,
      body: { error: "invalid_scope" },
    });
    assert.equal((await failure(client.clientCredentials({}, aContext()))).code, "ScopeRefused");
    setup.azure.faults.inject({ operation: "oauth.token", kind: "answer", status: 404, times: 1, body: "" });
    assert.equal((await failure(client.clientCredentials({}, aContext()))).code, "EndpointNotFound");
    assert.equal(setup.azure.requests.count("oauth.openidMetadata"), 1);
    await client.clientCredentials({}, aContext());
    assert.equal(setup.azure.requests.count("oauth.openidMetadata"), 2);
  });

  it("falls back to OAuth 2.0 metadata, however the server says that it has no other", async () => {
    for (const answer of [
      { status: 404 },
      { status: 403 },
      { status: 302, headers: { location: "/login" } },
      { status: 200, body: "<html>Sign in</html>", headers: { "content-type": "text/html" } },
    ]) {
      const missing = setup.azure.faults.inject({
        operation: "oauth.openidMetadata",
        kind: "answer",
        ...answer,
      });
      await aClient().clientCredentials({}, aContext());
      missing.remove();
    }
    assert.equal(setup.azure.requests.count("oauth.oauthMetadata"), 4);
  });

  it("finds OAuth 2.0 metadata of an issuer with a path", async () => {
    const below = await startOAuthServer(setup.azure, {
      name: "below",
      issuerPath: "/tenants/one",
      clients: [{ clientId: "rotator", secret }],
    });
    await aClient({ issuer: below.issuer }).clientCredentials({}, aContext());
    setup.azure.faults.inject({ operation: "below.openidMetadata", kind: "answer", status: 404 });
    await aClient({ issuer: below.issuer }).clientCredentials({}, aContext());
    const [found] = setup.azure.requests.of("below.oauthMetadata");
    assert.equal(found?.path, "/.well-known/oauth-authorization-server/tenants/one");
  });

  it("says that there is no metadata, that it is another issuer's, that an endpoint is missing or not safe", async () => {
    const cases = [
      [{ error: "not found" }, "DiscoveryFailed", 404],
      [{ issuer: "https://other.example.org" }, "IssuerMismatch", 200],
      [{ issuer: server.issuer }, "EndpointNotOffered", 200],
      [{ issuer: server.issuer, token_endpoint: "http://example.org/token" }, "AddressNotSafe", 200],
      [{ issuer: server.issuer, token_endpoint: "ftp://example.org/token" }, "EndpointNotOffered", 200],
      [{ issuer: server.issuer, token_endpoint: 7 }, "EndpointNotOffered", 200],
    ] as const;
    for (const [body, code, status] of cases) {
      for (const operation of ["oauth.openidMetadata", "oauth.oauthMetadata"]) {
        setup.azure.faults.inject({ operation, kind: "answer", status, body });
      }
      const error = await failure(aClient().clientCredentials({}, aContext()));
      assert.equal(error.code, code, JSON.stringify(body));
      assertSilent(error, secret);
      setup.azure.faults.clear();
    }
    assert.equal(setup.azure.requests.count("oauth.token"), 0);
  });
});

function answering(body: unknown): void {
  setup.azure.faults.inject({ operation: "oauth.token", kind: "answer", status: 200, body, times: 1 });
}
