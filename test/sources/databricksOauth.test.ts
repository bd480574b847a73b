import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import * as z from "zod";
import { type EmbeddedDatabricks, startDatabricks } from "../../src/local/databricks.ts";
import { databricksOauth } from "../../src/sources/databricksOauth.ts";
import { hours, seconds } from "../builders.ts";
import { firstIdentity } from "../local/support.ts";
import { assertSilent, failure } from "../oauth/setup.ts";
import { aMint, complaints, type Surroundings, surround } from "./setup.ts";

const kind = "databricks-oauth";
const clientId = "0b0c9d5e-1111-4222-8333-444444444444";
const clientSecret = { secret: "databricks" };
const federation = { subject: { kind: "entra", scope: "api://databricks-federation/.default" } };
let surroundings: Surroundings;
let databricks: EmbeddedDatabricks;

before(async () => {
  surroundings = await surround({ resources: [{ identifier: "api://databricks-federation" }] });
  databricks = await startDatabricks(surroundings.azure, {
    entra: surroundings.azure.issuer,
    servicePrincipals: [{ clientId, secret: "canary-dose0123" }],
  });
  surroundings.store("databricks", "canary-dose0123");
});
after(() => surroundings[Symbol.asyncDispose]());
afterEach(() => {
  surroundings.azure.faults.clear();
  surroundings.azure.requests.clear();
  databricks.errorShape = "error";
});

describe("the databricks-oauth source", () => {
  it("mints for a workspace and for the account", async () => {
    const { clock } = surroundings;
    const account = { host: databricks.accountUrl, accountId: databricks.accountId };
    for (const [place, server] of [
      [{ host: databricks.url }, databricks.workspace],
      [account, databricks.account],
    ] as const) {
      const source = await surroundings.source({ kind, ...place, clientId, clientSecret });
      const token = await source.mint(aMint());
      assert.equal(token.expiresOn.getTime(), clock.now() + hours);
      const claims = await server.verify(token.value.reveal(), clock.now());
      assert.deepEqual([claims.sub, claims.scope], [clientId, "all-apis"]);
    }
    const [workspace] = surroundings.azure.requests.of("databricks.token");
    const [accounts] = surroundings.azure.requests.of("databricksAccount.token");
    assert.equal(workspace?.path, "/oidc/v1/token");
    assert.equal(accounts?.path, `/oidc/accounts/${databricks.accountId}/v1/token`);
    assert.equal(surroundings.azure.requests.total, 2);
  });

  it("asks for other scopes", async () => {
    const options = { kind, host: databricks.url, clientId, clientSecret, scope: "sql postgres" };
    const token = await (await surroundings.source(options)).mint(aMint());
    assert.deepEqual(token.attributes, { scope: "sql postgres" });
  });

  it("mints without a secret, by the service principal's own policy or by an account-wide one", async () => {
    const { issuer } = surroundings.azure;
    const policy = {
      issuer: `${issuer.url}/${issuer.tenantId}/`,
      audiences: ["api://databricks-federation"],
      subject: firstIdentity(surroundings.azure).objectId,
    };
    const mint = async (named: { clientId?: string }) => {
      const source = await surroundings.source({ kind, host: databricks.url, ...named, federation });
      const token = await source.mint(aMint());
      return (await databricks.workspace.verify(token.value.reveal(), surroundings.clock.now())).sub;
    };
    databricks.register({ clientId: "federated", federated: [policy] });
    assert.equal(await mint({ clientId: "federated" }), "federated");
    const unnamed = await failure(mint({}));
    assert.deepEqual([unnamed.code, unnamed.facts.httpStatus], ["SubjectTokenRefused", 400]);
    databricks.register({ clientId: "federated", federated: [{ ...policy, unnamed: true }] });
    assert.equal(await mint({}), "federated");
    for (const wrong of [{ subject: "another" }, { audiences: ["another"] }, { issuer: "another" }]) {
      databricks.register({ clientId: "federated", federated: [{ ...policy, ...wrong }] });
      const error = await failure(mint({ clientId: "federated" }));
      assert.deepEqual([error.code, error.retryable], ["SubjectTokenRefused", false]);
    }
  });

  it("knows errors in both of their shapes", async () => {
    surroundings.store("wrong", "canary-wrong");
    const secret = { secret: "wrong" };
    const source = await surroundings.source({ kind, host: databricks.url, clientId, clientSecret: secret });
    for (const shape of ["error", "errorCode"] as const) {
      databricks.errorShape = shape;
      const error = await failure(source.mint(aMint()));
      assert.deepEqual(
        [error.code, error.retryable, error.facts.error, error.facts.httpStatus],
        ["ClientRefused", false, "invalid_client", 401],
      );
      assertSilent(error, "canary-wrong");
    }
  });

  it("says that the address is wrong, and when to come back", async () => {
    const elsewhere = { host: databricks.accountUrl, accountId: "another-account" };
    const wrong = await surroundings.source({ kind, ...elsewhere, clientId, clientSecret });
    assert.equal((await failure(wrong.mint(aMint()))).code, "EndpointNotFound");
    surroundings.azure.faults.inject({
      operation: "databricks.token",
      kind: "answer",
      status: 429,
      retryAfter: 9,
      body: { error_code: "REQUEST_LIMIT_EXCEEDED", message: "canary" },
    });
    const busy = await surroundings.source({ kind, host: databricks.url, clientId, clientSecret });
    const error = await failure(busy.mint(aMint()));
    assert.deepEqual([error.code, error.retryAfterMs], ["ProviderThrottled", 9 * seconds]);
  });

  it("knows that a token is refused in its last 30 seconds", () => {
    const options = databricksOauth.schema(z).parse({
      kind,
      host: "https://x.example.org",
      clientId,
      clientSecret,
    });
    assert.equal(databricksOauth.refusedBeforeExpiryMs?.(options), 30 * seconds);
    assert.equal(databricksOauth.lifetimeMs(options), hours);
  });

  it("takes one proof, and a client id with the secret", () => {
    const good = { kind, host: "https://x.cloud.databricks.com", clientId, clientSecret };
    const cases: [Record<string, unknown>, string[]][] = [
      [{}, []],
      [{ clientSecret: undefined }, ["clientSecret"]],
      [{ federation }, ["clientSecret"]],
      [{ clientSecret: undefined, federation }, []],
      [{ clientSecret: undefined, federation, clientId: undefined }, []],
      [{ clientId: undefined }, ["clientId"]],
      [{ host: "https://x.cloud.databricks.com/" }, ["host"]],
      [{ host: "https://x.cloud.databricks.com/path" }, ["host"]],
      [{ host: "http://x.cloud.databricks.com" }, ["host"]],
      [{ host: "http://127.0.0.1:8080" }, []],
      [{ accountId: "../v1" }, ["accountId"]],
      [{ clientSecret: undefined, federation: { subject: { kind: "entra" } } }, ["federation.subject.scope"]],
      [{ token: "x" }, [""]],
    ];
    for (const [change, paths] of cases) {
      assert.deepEqual(complaints(databricksOauth, { ...good, ...change }), paths, JSON.stringify(change));
    }
  });

  it("names the secret that it reads", () => {
    const options = databricksOauth.schema(z).parse({
      kind,
      host: "https://x.example.org",
      clientId,
      clientSecret,
    });
    assert.deepEqual(databricksOauth.secrets(options), [
      { path: ["clientSecret"], reference: clientSecret, access: "read" },
    ]);
  });
});
