import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { decodeJwt } from "jose";
import {
  type EmbeddedAzure,
  startEmbeddedAzure,
  systemAssignedIdentity,
  userAssignedIdentity,
} from "../../src/local/azure.ts";
import { VirtualClock } from "../virtualClock.ts";

const system = systemAssignedIdentity();
const one = userAssignedIdentity("one");
const two = userAssignedIdentity("two");
const vaultResource = "https://vault.azure.net";
const hourMs = 3600_000;

interface Answer {
  readonly access_token: string;
  readonly client_id: string;
  readonly expires_on: string;
  readonly not_before: string;
  readonly resource: string;
  readonly token_type: string;
}

describe("the embedded identity endpoint", () => {
  const clock = new VirtualClock();
  let azure: EmbeddedAzure;
  let resources = 0;

  before(async () => {
    azure = await startEmbeddedAzure({ clock, identities: [system, one, two] });
  });
  afterEach(() => {
    azure.identity.identities = [system, one, two];
    azure.identity.policy = {};
    azure.requests.clear();
    assert.deepEqual(azure.requests.defects, []);
  });
  after(() => azure.stop());

  /** A resource that no other test has a cached token for. */
  const newResource = () => {
    const identifier = `api://resource-${++resources}`;
    azure.issuer.register({ identifier });
    return identifier;
  };
  const ask = (query: Record<string, string>, headers = { "X-IDENTITY-HEADER": azure.identity.header }) =>
    fetch(`${azure.identity.url}?${new URLSearchParams({ "api-version": "2019-08-01", ...query })}`, {
      headers,
    });
  const token = async (resource: string, query = {}) => {
    const response = await ask({ resource, ...query });
    assert.equal(response.status, 200);
    return (await response.json()) as Answer;
  };

  it("answers in the protocol's shape, with the resource echoed to the letter and numbers as strings", async () => {
    const asked = "https://vault.azure.net/";
    const answer = await token(asked, { client_id: one.clientId });
    const issuedAt = Math.floor(clock.now() / 1000);
    assert.deepEqual(
      { ...answer, access_token: decodeJwt(answer.access_token).oid },
      {
        access_token: one.objectId,
        client_id: one.clientId,
        expires_on: String(issuedAt + 24 * 3600),
        not_before: String(issuedAt - 300),
        resource: asked,
        token_type: "Bearer",
      },
    );
    assert.equal(decodeJwt(answer.access_token).aud, asked);
  });

  for (const [what, query, expected] of [
    ["no parameter", {}, system],
    ["client_id", { client_id: one.clientId }, one],
    ["principal_id", { principal_id: one.objectId }, one],
    ["object_id", { object_id: two.objectId.toUpperCase() }, two],
    ["mi_res_id", { mi_res_id: two.resourceId ?? "" }, two],
  ] as const) {
    it(`chooses the identity by ${what}`, async () => {
      assert.equal((await token(vaultResource, query)).client_id, expected.clientId);
    });
  }

  it("does not fall back from the system-assigned to a user-assigned identity", async () => {
    azure.identity.identities = [one];
    const response = await ask({ resource: vaultResource });
    assert.equal(response.status, 400);
    const body = (await response.json()) as Record<string, unknown>;
    assert.deepEqual(Object.keys(body), ["statusCode", "message", "correlationId"]);
    assert.equal(body.message, "Unable to load the proper Managed Identity.");
  });

  for (const [what, query, message] of [
    [
      "an identity that is not assigned",
      { client_id: "00000000-0000-0000-0000-000000000001" },
      /^No User Assigned/,
    ],
    ["two ways of naming one", { client_id: one.clientId, object_id: one.objectId }, /At most one/],
    ["no resource", { resource: "" }, /resource/],
    [
      "a resource that the tenant does not know",
      { resource: "https://nowhere.example" },
      /^AADSTS50001: .*nowhere/,
    ],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const response = await ask({ resource: vaultResource, ...query });
      assert.equal(response.status, 400);
      const body = (await response.json()) as { statusCode: number; message: string; error?: unknown };
      assert.match(body.message, message);
      assert.deepEqual([body.statusCode, body.error], [400, undefined]);
    });
  }

  it("refuses a wrong header, a missing one, and another protocol", async () => {
    assert.equal((await ask({ resource: vaultResource }, { "X-IDENTITY-HEADER": "wrong" })).status, 401);
    assert.equal((await fetch(`${azure.identity.url}?resource=x&api-version=2019-08-01`)).status, 401);
    const old = await ask({ resource: vaultResource, "api-version": "2017-09-01" });
    assert.equal(old.status, 400);
    assert.match(await old.text(), /UnsupportedApiVersion/);
  });

  it("sees an identity assigned and withdrawn while it runs", async () => {
    const late = userAssignedIdentity("late");
    const query = { resource: vaultResource, client_id: late.clientId };
    assert.equal((await ask(query)).status, 400);
    azure.identity.identities = [late];
    assert.equal((await ask(query)).status, 200);
    azure.identity.identities = [];
    assert.equal((await ask(query)).status, 400);
  });

  it("hands out the same 24-hour token for twelve hours, per identity and resource", async () => {
    const resource = newResource();
    const issued = azure.identity.issued;
    const first = await token(resource);
    assert.notEqual((await token(resource, { client_id: one.clientId })).access_token, first.access_token);
    assert.notEqual((await token(newResource())).access_token, first.access_token);
    assert.equal(azure.identity.issued - issued, 3);

    clock.set(clock.now() + 12 * hourMs - 1);
    assert.equal((await token(resource)).access_token, first.access_token);
    clock.set(clock.now() + 1);
    const second = await token(resource);
    assert.notEqual(second.access_token, first.access_token);
    assert.equal(Number(second.expires_on) - Number(first.expires_on), 12 * 3600);
  });

  it("hands out a token that is nearly over where the platform is configured so", async () => {
    azure.identity.policy = { renewBeforeSeconds: 60 };
    const resource = newResource();
    const first = await token(resource);
    clock.set(Number(first.expires_on) * 1000 - 61_000);
    assert.equal((await token(resource)).access_token, first.access_token);
    clock.set(clock.now() + 2000);
    assert.notEqual((await token(resource)).access_token, first.access_token);
  });

  it("issues a new token on every request where the cache is off", async () => {
    azure.identity.policy = { lifetimeSeconds: 120, renewBeforeSeconds: Number.POSITIVE_INFINITY };
    const resource = newResource();
    const answers = [await token(resource), await token(resource)];
    assert.equal(new Set(answers.map((answer) => answer.access_token)).size, 2);
    assert.equal(Number(answers[0]?.expires_on), Math.floor(clock.now() / 1000) + 120);
  });

  it("issues successive lifetimes, the last one repeating", async () => {
    azure.identity.policy = {
      lifetimeSeconds: [7200, 600, 60],
      renewBeforeSeconds: Number.POSITIVE_INFINITY,
    };
    const resource = newResource();
    const lifetimes: number[] = [];
    for (let request = 0; request < 4; request++) {
      const { expires_on } = await token(resource);
      lifetimes.push(Number(expires_on) - Math.floor(clock.now() / 1000));
    }
    assert.deepEqual(lifetimes, [7200, 600, 60, 60]);
  });

  it("names the resource, and no token, in the request log", async () => {
    await token(vaultResource);
    const [record] = azure.requests.of("identity.token");
    assert.deepEqual([record?.target, record?.path, record?.status], [vaultResource, "/msi/token", 200]);
    assert.doesNotMatch(JSON.stringify(azure.requests.all), /eyJ|api-version/);
  });
});
