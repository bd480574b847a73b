import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEmbeddedAzure, systemAssignedIdentity } from "../../src/local/azure.ts";
import { credential, secretClient } from "./support.ts";

describe("the embedded Azure", () => {
  it("gives the environment that the deployed function app would have", async () => {
    await using azure = await startEmbeddedAzure();
    assert.deepEqual(azure.environment, {
      IDENTITY_ENDPOINT: azure.identity.url,
      IDENTITY_HEADER: azure.identity.header,
      AZURE_AUTHORITY_HOST: azure.issuer.url,
      KEY_VAULT_URL: azure.vault.url,
      AZURE_CLIENT_ID: azure.identity.identities[0]?.clientId,
    });
    assert.match(azure.identity.url, /^http:\/\/127\.0\.0\.1:\d+\/msi\/token$/);
    assert.match(azure.vault.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.deepEqual(azure.requests.counts, {});
  });

  it("names no client id where the app has only its own identity", async () => {
    await using azure = await startEmbeddedAzure({ identities: [systemAssignedIdentity()] });
    assert.equal("AZURE_CLIENT_ID" in azure.environment, false);
  });

  it("keeps vaults apart: each its own origin, secrets and name in the log", async () => {
    await using azure = await startEmbeddedAzure({ vaults: [{ name: "one" }, { name: "two" }] });
    using _trust = azure.trustInThisProcess();
    const two = azure.vaults.get("two");
    assert.ok(two);
    assert.equal(azure.vault.name, "one");
    azure.faults.inject({
      operation: "keyvault.setSecret",
      match: (call) => call.instance === "one",
      kind: "answer",
      status: 500,
    });
    await secretClient(azure, { url: two.url }).setSecret("name", "v");
    await assert.rejects(secretClient(azure).setSecret("name", "v"), { statusCode: 500 });
    assert.deepEqual(azure.vault.secrets.list(), []);
    assert.equal(two.secrets.list().length, 1);
    assert.deepEqual(
      azure.requests.of("keyvault.setSecret").map(({ instance, status }) => [instance, status]),
      [
        ["two", 200],
        ["one", 500],
      ],
    );
  });

  it("does not accept the tokens of another one", async () => {
    await using azure = await startEmbeddedAzure();
    await using other = await startEmbeddedAzure();
    using _trust = azure.trustInThisProcess();
    const foreign = await credential(other).getToken("https://vault.azure.net/.default");
    const response = await fetch(`${azure.vault.url}/secrets?api-version=7.5`, {
      headers: { authorization: `Bearer ${foreign?.token}` },
    });
    assert.equal(response.status, 401);
    assert.match(await response.text(), /AKV10046/);
  });

  it("closes what it opened when it cannot start", async () => {
    await assert.rejects(startEmbeddedAzure({ vaults: [] }), /at least one vault/);
    await using first = await startEmbeddedAzure();
    const port = Number(new URL(first.vault.url).port);
    await assert.rejects(startEmbeddedAzure({ vaults: [{ name: "taken", port }] }), {
      code: "PortUnavailable",
    });
  });

  it("stops once however often it is told to, and runs what was to run then", async () => {
    const azure = await startEmbeddedAzure();
    await Promise.all([azure.stop(), azure.stop()]);
    await azure[Symbol.asyncDispose]();
    await assert.rejects(fetch(azure.identity.url), { name: "TypeError" });
  });
});
