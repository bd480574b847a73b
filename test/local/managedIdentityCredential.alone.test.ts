import assert from "node:assert/strict";
import { after, afterEach, before, describe, it, mock } from "node:test";
import { CredentialUnavailableError, ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure, userAssignedIdentity } from "../../src/local/azure.ts";

const hourMs = 3600_000;

/**
 * MSAL keeps one identity endpoint, one set of retry options and one cache for the whole process, so this file has one
 * embedded Azure and a resource of its own per test. MSAL reads the machine's clock; it is the mocked one here, and the
 * embedded Azure follows it.
 */
describe("the embedded Azure, through the real managed identity credential", () => {
  const identity = userAssignedIdentity("rotator");
  let azure: EmbeddedAzure;
  let trust: Disposable;
  let resources = 0;

  before(async () => {
    mock.timers.enable({ apis: ["Date"], now: systemClock.now() });
    azure = await startEmbeddedAzure({ identities: [identity] });
    trust = azure.trustInThisProcess();
    for (const [name, value] of Object.entries(azure.environment)) {
      process.env[name] = value;
    }
  });
  afterEach(() => {
    azure.faults.clear();
    azure.requests.clear();
    azure.identity.policy = {};
    assert.deepEqual(azure.requests.defects, []);
  });
  after(async () => {
    mock.timers.reset();
    trust[Symbol.dispose]();
    await azure.stop();
  });

  const credential = (clientId = identity.clientId) =>
    new ManagedIdentityCredential({ clientId, retryOptions: { maxRetries: 0 } });
  const newScope = () => {
    const identifier = `api://resource-${++resources}`;
    azure.issuer.register({ identifier });
    return `${identifier}/.default`;
  };
  const pass = (ms: number) => mock.timers.setTime(systemClock.now() + ms);

  it("reads and writes secrets with nothing but the environment", async () => {
    const client = new SecretClient(azure.environment.KEY_VAULT_URL as string, credential(), {
      disableChallengeResourceVerification: true,
    });
    await client.setSecret("name", "value");
    assert.equal((await client.getSecret("name")).value, "value");
    assert.equal(azure.requests.of("keyvault.setSecret")[0]?.caller?.objectId, identity.objectId);
    assert.deepEqual(azure.requests.counts, {
      "keyvault.challenge": 1,
      "identity.token": 1,
      "keyvault.setSecret": 1,
      "keyvault.getSecret": 1,
    });
  });

  it("gives the old token once more after half of its life, although a new one was fetched", async () => {
    const scope = newScope();
    const first = await credential().getToken(scope);
    pass(12 * hourMs + 1000);
    const stale = await credential().getToken(scope);
    assert.equal(azure.requests.count("identity.token"), 2);
    const fresh = await credential().getToken(scope);

    assert.equal(stale.token, first.token);
    assert.notEqual(fresh.token, first.token);
    assert.ok(fresh.expiresOnTimestamp > first.expiresOnTimestamp);
    assert.equal(azure.requests.count("identity.token"), 2);
  });

  it("gets the same token from the platform again and again when that does not renew", async () => {
    azure.identity.policy = { renewBeforeSeconds: 60 };
    const scope = newScope();
    const first = await credential().getToken(scope);
    pass(13 * hourMs);
    await credential().getToken(scope);
    const later = await credential().getToken(scope);
    assert.equal(later.token, first.token);
    assert.equal(azure.requests.count("identity.token"), 2);
  });

  it("serves a short token until five minutes before its end", async () => {
    azure.identity.policy = { lifetimeSeconds: 3600, renewBeforeSeconds: Number.POSITIVE_INFINITY };
    const scope = newScope();
    const first = await credential().getToken(scope);
    pass(54 * 60_000);
    assert.equal((await credential().getToken(scope)).token, first.token);
    pass(2 * 60_000);
    assert.notEqual((await credential().getToken(scope)).token, first.token);
  });

  it("reports an identity that is not assigned, with the platform's words", async () => {
    const unassigned = credential("00000000-0000-0000-0000-000000000001");
    await assert.rejects(unassigned.getToken(newScope()), unavailable(/No User Assigned or Delegated/, 400));
  });

  it("reports a resource that the tenant does not know, with the platform's words", async () => {
    const unknown = credential().getToken("https://nowhere.example/.default");
    await assert.rejects(unknown, unavailable(/AADSTS50001/, 400));
  });

  it("reports a gateway's page as unavailable, page and all", async () => {
    azure.faults.inject({ operation: "identity.token", kind: "answer", status: 502, body: "<html></html>" });
    await assert.rejects(credential().getToken(newScope()), unavailable(/<html>/, 502));
  });

  it("throws a 429 without Retry-After at the caller", async () => {
    azure.faults.inject({ operation: "identity.token", kind: "answer", status: 429 });
    await assert.rejects(credential().getToken(newScope()), unavailable(/Injected/, 429));
    assert.equal(azure.requests.count("identity.token"), 1);
  });
});

/** Whatever goes wrong surfaces as this one error; the status is in its cause. */
function unavailable(message: RegExp, status: number) {
  return (error: unknown) => {
    assert.ok(error instanceof CredentialUnavailableError);
    assert.match(error.message, message);
    assert.equal((error.cause as { status?: number }).status, status);
    return true;
  };
}
