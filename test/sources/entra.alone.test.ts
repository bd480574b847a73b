import assert from "node:assert/strict";
import { after, afterEach, before, describe, mock, test } from "node:test";
import { decodeJwt } from "jose";
import * as z from "zod";
import { RotatorError } from "../../src/errors.ts";
import { chooseIdentity } from "../../src/identity.ts";
import { type EmbeddedAzure, startEmbeddedAzure, userAssignedIdentity } from "../../src/local/azure.ts";
import type { TokenPolicy } from "../../src/local/identityEndpoint.ts";
import type { SourceEnvironment } from "../../src/plugins.ts";
import type { MintContext, Token, TokenSource } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { type EntraOptions, entra } from "../../src/sources/entra.ts";
import { unsignedJwt } from "../jwt.ts";
import { VirtualClock } from "../virtualClock.ts";

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 0, 1);
const clock = new VirtualClock(start);
const [first, second] = [userAssignedIdentity("first"), userAssignedIdentity("second")];

let azure: EmbeddedAzure;

before(async () => {
  // MSAL counts with the machine's clock; both are moved together.
  mock.timers.enable({ apis: ["Date"], now: start });
  azure = await startEmbeddedAzure({ clock, identities: [first, second] });
  Object.assign(process.env, azure.environment);
});

after(async () => {
  await azure.stop();
  mock.timers.reset();
  assert.deepEqual(azure.requests.defects, []);
});

afterEach(() => {
  azure.faults.clear();
});

async function pass(ms: number): Promise<void> {
  await clock.advance(ms);
  mock.timers.setTime(clock.now());
}

async function aSource(
  options: Omit<EntraOptions, "kind">,
  credential: SourceEnvironment["credential"] = chooseIdentity(azure.environment).credential,
): Promise<TokenSource> {
  return await entra.create({ kind: "entra", ...options }, unlessUsed({ clock, credential }));
}

/** What a source of this kind has no use for is left out. */
function unlessUsed(environment: Partial<SourceEnvironment>): SourceEnvironment {
  return environment as SourceEnvironment;
}

function aContext(overrides: Partial<MintContext> = {}): MintContext {
  return { signal: new AbortController().signal, giveUpAt: clock.now(), forced: false, ...overrides };
}

function held(token: Token): NonNullable<MintContext["current"]> {
  return { fingerprint: token.value.fingerprint(), expiresOn: token.expiresOn };
}

function asked(): number {
  return azure.requests.count("identity.token");
}

let resources = 0;
/** A scope of its own for every test, so that no cache holds anything for it. */
function aScope(policy: TokenPolicy = {}): string {
  resources += 1;
  const identifier = `https://example.org/${resources}`;
  azure.issuer.register({ identifier });
  azure.identity.policy = policy;
  azure.requests.clear();
  return `${identifier}/.default`;
}

function sameToken(one: Token, other: Token): boolean {
  return one.value.equals(other.value);
}

describe("a managed identity's token", () => {
  test("comes with the expiry and the issue date that the provider tells", async () => {
    const source = await aSource({ scope: aScope({ lifetimeSeconds: 4_000 }) });
    const token = await source.mint(aContext());
    const claims = decodeJwt(token.value.reveal());
    assert.equal(token.expiresOn.getTime(), start + 4_000_000);
    assert.equal(claims.exp, token.expiresOn.getTime() / 1000);
    assert.equal(claims.iat, token.issuedOn.getTime() / 1000);
    assert.equal(claims.aud, `https://example.org/${resources}`);
    assert.equal(claims.appid, first.clientId);
  });

  test("is the next one, not the last one, past half of its life", async () => {
    const source = await aSource({ scope: aScope() });
    const old = await source.mint(aContext());
    await pass(12 * hour - minute);
    assert.ok(sameToken(await source.mint(aContext()), old));
    assert.equal(asked(), 1);
    await pass(2 * minute);
    const next = await source.mint(aContext());
    assert.ok(!sameToken(next, old));
    assert.equal(next.expiresOn.getTime(), clock.now() + 24 * hour);
    assert.equal(asked(), 2);
  });

  test("is asked for past MSAL's cache where the vault already holds the cached one", async () => {
    const source = await aSource({ scope: aScope({ lifetimeSeconds: 3_600, renewBeforeSeconds: 1_800 }) });
    const old = await source.mint(aContext());
    await pass(40 * minute);
    assert.ok(sameToken(await source.mint(aContext()), old), "MSAL answers from its cache");
    assert.equal(asked(), 1);
    const next = await source.mint(aContext({ current: held(old) }));
    assert.equal(asked(), 2);
    assert.ok(!sameToken(next, old));
    assert.equal(next.expiresOn.getTime(), clock.now() + hour);
    assert.ok(
      sameToken(await source.mint(aContext({ current: held(old) })), next),
      "the cache now holds the new one",
    );
    assert.equal(asked(), 2);
  });

  test("is the old one as long as the platform's own cache holds it", async () => {
    const source = await aSource({ scope: aScope() });
    const old = await source.mint(aContext());
    await pass(11 * hour);
    for (const requests of [2, 3]) {
      assert.ok(sameToken(await source.mint(aContext({ current: held(old) })), old));
      assert.equal(asked(), requests);
    }
  });

  test("is asked for past the cache where the vault holds a later one, and where somebody demands it", async () => {
    const source = await aSource({
      scope: aScope({ lifetimeSeconds: 3_600, renewBeforeSeconds: Number.POSITIVE_INFINITY }),
    });
    const mine = await source.mint(aContext());
    const written = {
      fingerprint: "written-by-another-process",
      expiresOn: new Date(mine.expiresOn.getTime() + 1_000),
    };
    await pass(minute);
    const later = await source.mint(aContext({ current: written }));
    assert.ok(later.expiresOn > written.expiresOn);
    assert.equal(asked(), 2);
    const demanded = await source.mint(aContext({ forced: true }));
    assert.ok(!sameToken(demanded, later));
    assert.equal(asked(), 3);
  });

  test("is taken from the cache where it is news to the vault", async () => {
    const source = await aSource({ scope: aScope() });
    const token = await source.mint(aContext());
    const older = { fingerprint: "older", expiresOn: new Date(token.expiresOn.getTime() - 1_000) };
    assert.ok(sameToken(await source.mint(aContext({ current: older })), token));
    assert.equal(asked(), 1);
  });

  test("can be another identity's than the rotator's own, also past the cache", async () => {
    const source = await aSource({ scope: aScope(), identity: { clientId: second.clientId } });
    const token = await source.mint(aContext());
    assert.equal(decodeJwt(token.value.reveal()).appid, second.clientId);
    const again = await source.mint(aContext({ forced: true }));
    assert.equal(decodeJwt(again.value.reveal()).appid, second.clientId);
    assert.equal(asked(), 2);
  });

  test("of another tenant than the one asked for is refused", async () => {
    const scope = aScope();
    const mine = await aSource({ scope, tenant: azure.issuer.tenantId.toUpperCase() });
    assert.ok(await mine.mint(aContext()));
    const other = await aSource({ scope, tenant: "00000000-0000-0000-0000-000000000000" });
    await assert.rejects(other.mint(aContext()), { code: "TokenOfOtherTenant", retryable: false });
  });

  test("is not waited for once the signal aborts", async () => {
    const source = await aSource({ scope: aScope() });
    const controller = new AbortController();
    const reason = new Error("the tick is over");
    const hold = azure.faults.hold({ operation: "identity.token" });
    const rejected = assert.rejects(
      source.mint(aContext({ signal: controller.signal })),
      (error) => error === reason,
    );
    await hold.arrived();
    controller.abort(reason);
    await rejected;
    hold.release();
  });
});

describe("what the identity endpoint answers", () => {
  const aadsts = (number: number) => ({
    statusCode: 400,
    message: `AADSTS${number}: Something. Trace ID: canary`,
  });
  const faults = [
    {
      code: "IdentityNotAssigned",
      status: 400,
      body: { statusCode: 400, message: "Unable to load the proper Managed Identity." },
    },
    {
      code: "IdentityNotAssigned",
      status: 400,
      body: { error: "invalid_request", error_description: "Identity not found" },
    },
    {
      code: "IdentityAmbiguous",
      status: 400,
      body: {
        error: "invalid_request",
        error_description:
          "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
      },
    },
    { code: "ResourceUnknown", status: 400, body: aadsts(500011), facts: { aadsts: 500011 } },
    { code: "ResourceUnknown", status: 500, body: aadsts(50001), facts: { aadsts: 50001 } },
    { code: "AssignmentMissing", status: 400, body: aadsts(501051), facts: { aadsts: 501051 } },
    { code: "IdentityUnknown", status: 400, body: aadsts(700016), facts: { aadsts: 700016 } },
    { code: "IdentityRefused", status: 400, body: aadsts(99999), facts: { aadsts: 99999 } },
    { code: "IdentityRefused", status: 401, body: "" },
    { code: "IdentityThrottled", status: 429, body: "", retryable: true },
    { code: "IdentityThrottled", status: 429, body: "", retryAfter: 17, retryable: true },
    { code: "IdentityUnavailable", status: 500, body: "<html>", retryable: true },
    { code: "IdentityUnavailable", status: 503, body: "", retryAfter: 600, retryable: true },
    { code: "IdentityUnavailable", status: 404, body: "", retryable: true },
    { code: "IdentityUnavailable", status: 410, body: "", retryable: true },
    { code: "IdentityAnswerMalformed", status: 200, body: "<html>Sign in</html>", retryable: true },
    { code: "IdentityAnswerMalformed", status: 200, body: { token_type: "Bearer" }, retryable: true },
  ] as const;
  for (const { code, status, body, ...rest } of faults) {
    const {
      facts = {},
      retryAfter,
      retryable = false,
    } = rest as {
      facts?: Record<string, number>;
      retryAfter?: number;
      retryable?: boolean;
    };
    test(`${status} ${JSON.stringify(body).slice(0, 60)} is ${code}`, async () => {
      const source = await aSource({ scope: aScope() });
      azure.faults.inject({
        operation: "identity.token",
        kind: "answer",
        status,
        body,
        ...(retryAfter === undefined ? {} : { retryAfter }),
      });
      await assert.rejects(source.mint(aContext()), (error) => {
        assert.ok(error instanceof RotatorError);
        assert.equal(error.code, code);
        assert.equal(error.retryable, retryable);
        assert.equal(error.retryAfterMs, retryAfter === undefined ? undefined : retryAfter * 1000);
        assert.deepEqual(error.facts, {
          identity: "managed",
          clientId: first.clientId,
          httpStatus: status,
          ...facts,
        });
        return true;
      });
      assert.equal(asked(), 1, "retries are the engine's business");
    });
  }

  test("an identity that is not assigned, and a resource that the tenant does not know", async () => {
    const scope = aScope();
    const unassigned = await aSource({ scope, identity: { clientId: userAssignedIdentity("x").clientId } });
    await assert.rejects(unassigned.mint(aContext()), { code: "IdentityNotAssigned", retryable: false });
    const unknown = await aSource({ scope: "https://example.org/unknown/.default" });
    await assert.rejects(unknown.mint(aContext()), { code: "ResourceUnknown", retryable: false });
    const { AZURE_CLIENT_ID, ...systemAssigned } = azure.environment;
    assert.equal(AZURE_CLIENT_ID, first.clientId);
    const none = await aSource({ scope }, chooseIdentity(systemAssigned).credential);
    await assert.rejects(none.mint(aContext()), { code: "IdentityNotAssigned", retryable: false });
  });

  test("a connection that is lost, and a failure past the cache", async () => {
    const scope = aScope();
    const source = await aSource({ scope });
    azure.faults.inject({ operation: "identity.token", kind: "reset", times: 1 });
    await assert.rejects(source.mint(aContext()), (error) => {
      assert.ok(error instanceof RotatorError);
      assert.equal(error.code, "IdentityEndpointUnreachable");
      assert.equal(error.facts.errorCode, "ECONNRESET");
      return error.retryable;
    });
    const token = await source.mint(aContext());
    azure.faults.inject({
      operation: "identity.token",
      kind: "answer",
      status: 429,
      retryAfter: 5,
      times: 1,
    });
    await assert.rejects(source.mint(aContext({ current: held(token) })), {
      code: "IdentityThrottled",
      retryAfterMs: 5_000,
    });
  });
});

describe("a credential that the embedding program brings", () => {
  const now = () => clock.now();
  for (const { name, token, lifetime, expires, issued } of [
    { name: "an opaque token", token: () => "opaque", lifetime: hour, expires: hour, issued: 0 },
    {
      name: "its own exp where that is earlier",
      token: () => unsignedJwt({ exp: now() / 1000 + 60 }),
      lifetime: hour,
      expires: minute,
      issued: 0,
    },
    {
      name: "the answer's expiry where that is earlier",
      token: () => unsignedJwt({ exp: now() / 1000 + 7_200 }),
      lifetime: hour,
      expires: hour,
      issued: 0,
    },
    {
      name: "an iat that is past",
      token: () => unsignedJwt({ iat: now() / 1000 - 60 }),
      lifetime: hour,
      expires: hour,
      issued: -minute,
    },
    {
      name: "an iat that lies ahead",
      token: () => unsignedJwt({ iat: now() / 1000 + 60 }),
      lifetime: hour,
      expires: hour,
      issued: 0,
    },
    {
      name: "claims of the wrong types",
      token: () => unsignedJwt({ iat: "1", exp: null, tid: 1 }),
      lifetime: hour,
      expires: hour,
      issued: 0,
    },
  ]) {
    test(`dates: ${name}`, async () => {
      const text = token();
      const source = await aSource({ scope: "x/.default", tenant: azure.issuer.tenantId }, async () => ({
        getToken: async () => ({ token: text, expiresOnTimestamp: now() + lifetime }),
      }));
      const minted = await source.mint(
        aContext({ current: { fingerprint: new SecretValue(text).fingerprint(), expiresOn: new Date(0) } }),
      );
      assert.equal(minted.value.reveal(), text);
      assert.equal(minted.expiresOn.getTime() - now(), expires);
      assert.equal(minted.issuedOn.getTime() - now(), issued);
    });
  }

  test("gets the tenant, and its failures are ours", async () => {
    const seen: unknown[] = [];
    const tenant = azure.issuer.tenantId;
    const answers = [null, new Error("AADSTS90002: Tenant not found"), new TypeError("a defect")];
    const source = await aSource({ scope: "x/.default", tenant }, async () => ({
      getToken: async (...args) => {
        seen.push(args);
        const answer = answers.shift();
        if (answer instanceof Error) {
          throw answer;
        }
        return answer as null;
      },
    }));
    await assert.rejects(source.mint(aContext()), { code: "IdentityAnswerMalformed" });
    await assert.rejects(source.mint(aContext()), { code: "TenantUnknown" });
    await assert.rejects(source.mint(aContext()), { code: "IdentityRefused" });
    assert.deepEqual(seen[0], ["x/.default", { tenantId: tenant }]);
  });
});

describe("options", () => {
  const scope = "https://vault.azure.net/.default";
  const id = "7d22ece1-dd60-4279-a911-4b7b95934f2e";
  for (const options of [
    { scope },
    { scope: `${id}/.default` },
    { scope: `api://${id}/.default` },
    { scope: "https://management.core.windows.net//.default" },
    { scope, tenant: id, identity: { clientId: id } },
  ]) {
    test(`accepted: ${JSON.stringify(options)}`, () => {
      const parsed = entra.schema(z).parse({ kind: "entra", ...options });
      assert.deepEqual(parsed, { kind: "entra", ...options });
      assert.equal(entra.lifetimeMs(parsed), hour);
      assert.deepEqual(entra.secrets(parsed), []);
    });
  }

  for (const { options, path, says } of [
    { options: {}, path: "scope", says: /string/ },
    {
      options: { scope: "https://vault.azure.net" },
      path: "scope",
      says: /followed by \/\.default, such as/,
    },
    { options: { scope: "https://vault.azure.net/" }, path: "scope", says: /followed by \/\.default/ },
    { options: { scope: "/.default" }, path: "scope", says: /App ID URI/ },
    { options: { scope: "https://a/.default https://b/.default" }, path: "scope", says: /one resource/ },
    { options: { scope: "https://a/.default " }, path: "scope", says: /one resource/ },
    { options: { scope: "User.Read" }, path: "scope", says: /App ID URI/ },
    { options: { scope, tenant: "contoso.onmicrosoft.com" }, path: "tenant", says: /GUID/ },
    { options: { scope, identity: {} }, path: "identity.clientId", says: /string/ },
    { options: { scope, identity: { clientId: "mine" } }, path: "identity.clientId", says: /GUID/ },
    { options: { scope, audience: "x" }, path: "", says: /audience/ },
  ]) {
    test(`refused: ${JSON.stringify(options)}`, () => {
      const result = entra.schema(z).safeParse({ kind: "entra", ...options });
      assert.equal(result.success, false);
      const [issue] = result.error?.issues ?? [];
      assert.equal(issue?.path.join("."), path);
      assert.match(issue?.message ?? "", says);
    });
  }
});

test("nobody listens at the identity endpoint", async () => {
  const source = await aSource({ scope: aScope() });
  await azure.stop();
  await assert.rejects(source.mint(aContext()), (error) => {
    assert.ok(error instanceof RotatorError);
    assert.equal(error.code, "IdentityEndpointUnreachable");
    return error.retryable;
  });
});
