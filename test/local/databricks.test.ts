import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type EmbeddedDatabricks, startDatabricks } from "../../src/local/databricks.ts";
import { minutes } from "../builders.ts";
import { type Setup, setUp } from "../oauth/setup.ts";
import { VirtualClock } from "../virtualClock.ts";

const clock = new VirtualClock();
const endpoint = "projects/p/branches/b/endpoints/e";
let setup: Setup;
let databricks: EmbeddedDatabricks;

before(async () => {
  setup = await setUp({ clock });
  databricks = await startDatabricks(setup.azure, {
    entra: setup.azure.issuer,
    servicePrincipals: [{ clientId: "app", secret: "right" }],
    instances: ["one", "two"],
    endpoints: [endpoint],
  });
});
after(() => setup[Symbol.asyncDispose]());

async function post(url: string, init: RequestInit) {
  const response = await fetch(url, { method: "POST", ...init });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function token(fields: Record<string, string> = {}, secret = "right") {
  return await post(`${databricks.url}/oidc/v1/token`, {
    headers: { authorization: `Basic ${btoa(`app:${secret}`)}` },
    body: new URLSearchParams({ grant_type: "client_credentials", scope: "all-apis", ...fields }),
  });
}

async function credential(api: "database" | "postgres", body: unknown, bearer?: string) {
  const given = bearer ?? String((await token()).body.access_token);
  return await post(`${databricks.url}/api/2.0/${api}/credentials`, {
    headers: given === "" ? {} : { authorization: `Bearer ${given}` },
    body: JSON.stringify(body),
  });
}

describe("the embedded Databricks", () => {
  it("answers a client credentials request as the workspace does", async () => {
    const { status, body } = await token();
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body).sort(), ["access_token", "expires_in", "scope", "token_type"]);
    assert.deepEqual([body.token_type, body.expires_in, body.scope], ["Bearer", 3600, "all-apis"]);
  });

  it("refuses in both shapes", async () => {
    const standard = await token({}, "wrong");
    assert.deepEqual([standard.status, standard.body.error], [401, "invalid_client"]);
    assert.equal(typeof standard.body.error_description, "string");
    databricks.errorShape = "errorCode";
    const other = await token({}, "wrong");
    assert.deepEqual(Object.keys(other.body).sort(), ["errorCode", "errorSummary"]);
    assert.equal(other.body.errorCode, "invalid_client");
    databricks.errorShape = "error";
  });

  it("publishes the metadata of workspace and account where Databricks does", async () => {
    for (const [base, server] of [
      [`${databricks.url}/oidc`, databricks.workspace],
      [`${databricks.accountUrl}/oidc/accounts/${databricks.accountId}`, databricks.account],
    ] as const) {
      const response = await fetch(`${base}/.well-known/oauth-authorization-server`);
      const metadata = (await response.json()) as Record<string, unknown>;
      assert.equal(metadata.issuer, base);
      assert.equal(metadata.token_endpoint, `${base}/v1/token`);
      assert.equal(server.tokenEndpoint, `${base}/v1/token`);
    }
  });

  it("generates credentials for instances, in the shape of that API", async () => {
    const { status, body } = await credential("database", {
      request_id: "1",
      instance_names: ["one", "two"],
    });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body).sort(), ["expiration_time", "token"]);
    assert.equal(body.expiration_time, "2026-01-01T01:00:00Z");
  });

  it("generates credentials for endpoints, in the shape of that API", async () => {
    const { status, body } = await credential("postgres", { endpoint, ttl: "300s" });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body).sort(), ["expire_time", "token"]);
    assert.equal(body.expire_time, "2026-01-01T00:05:00Z");
  });

  it("refuses what the APIs refuse", async () => {
    const cases: ["database" | "postgres", unknown, number, string][] = [
      ["database", {}, 400, "INVALID_PARAMETER_VALUE"],
      ["database", { instance_names: [] }, 400, "INVALID_PARAMETER_VALUE"],
      ["database", { instance_names: ["one", "three"] }, 404, "RESOURCE_DOES_NOT_EXIST"],
      ["postgres", {}, 400, "INVALID_PARAMETER_VALUE"],
      ["postgres", { endpoint: "projects/x" }, 404, "RESOURCE_DOES_NOT_EXIST"],
      ["postgres", { endpoint, ttl: "299s" }, 400, "INVALID_PARAMETER_VALUE"],
      ["postgres", { endpoint, ttl: "3601s" }, 400, "INVALID_PARAMETER_VALUE"],
      ["postgres", { endpoint, ttl: 600 }, 400, "INVALID_PARAMETER_VALUE"],
    ];
    for (const [api, given, status, code] of cases) {
      const { status: answered, body } = await credential(api, given);
      assert.deepEqual([answered, body.error_code], [status, code], JSON.stringify(given));
      assert.deepEqual(Object.keys(body).sort(), ["error_code", "message"]);
    }
  });

  it("takes no call without a token, with a foreign one, or with one in its last 30 seconds", async () => {
    const given = { instance_names: ["one"] };
    assert.equal((await credential("database", given, "")).status, 401);
    assert.equal((await credential("database", given, "foreign")).status, 403);
    const { access_token: held } = (await token()).body;
    await clock.advance(60 * minutes - 30_001);
    assert.equal((await credential("database", given, String(held))).status, 200);
    await clock.advance(1);
    assert.equal((await credential("database", given, String(held))).status, 403);
  });
});
