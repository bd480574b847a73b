import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { decodeJwt, jwtVerify } from "jose";
import * as z from "zod";
import { type EmbeddedDatabricks, startDatabricks } from "../../src/local/databricks.ts";
import { tokenLogin } from "../../src/local/postgresLogin.ts";
import { lakebase } from "../../src/sources/lakebase.ts";
import { hours, minutes } from "../builders.ts";
import { firstIdentity } from "../local/support.ts";
import { assertSilent, failure } from "../oauth/setup.ts";
import { aMint, complaints, type Surroundings, surround } from "./setup.ts";

const kind = "lakebase";
const clientId = "0b0c9d5e-1111-4222-8333-444444444444";
const clientSecret = { secret: "databricks" };
const endpoint = "projects/shop/branches/main/endpoints/primary";
const entraAuthorization = { kind: "entra", scope: "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default" };
let surroundings: Surroundings;
let databricks: EmbeddedDatabricks;

before(async () => {
  surroundings = await surround();
  databricks = await startDatabricks(surroundings.azure, {
    entra: surroundings.azure.issuer,
    servicePrincipals: [{ clientId, secret: "canary-dose0123" }],
    instances: ["orders"],
    endpoints: [endpoint],
  });
  surroundings.store("databricks", "canary-dose0123");
});
after(() => surroundings[Symbol.asyncDispose]());
afterEach(() => {
  surroundings.azure.faults.clear();
  surroundings.azure.requests.clear();
});

function oauth() {
  return { kind: "databricks-oauth", host: databricks.url, clientId, clientSecret };
}

async function mint(options: Record<string, unknown>, authorization: Record<string, unknown> = oauth()) {
  const source = await surroundings.source({ kind, host: databricks.url, authorization, ...options });
  return await source.mint(aMint());
}

describe("the lakebase source", () => {
  it("mints for provisioned instances and for an endpoint of a project", async () => {
    const { clock } = surroundings;
    for (const options of [{ instances: ["orders"] }, { endpoint }]) {
      const token = await mint(options);
      assert.equal(token.expiresOn.getTime(), clock.now() + hours);
      assert.equal(token.issuedOn.getTime(), clock.now());
      const login = tokenLogin({ clock, ...databricks.credentials, principals: { [clientId]: clientId } });
      await login(clientId, token.value.reveal());
      await assert.rejects(login("somebody", token.value.reveal()));
    }
    const [instance] = surroundings.azure.requests.of("databricks.generateDatabaseCredential");
    assert.deepEqual([instance?.path, instance?.target], ["/api/2.0/database/credentials", "orders"]);
    const [project] = surroundings.azure.requests.of("databricks.generatePostgresCredential");
    assert.deepEqual([project?.path, project?.target], ["/api/2.0/postgres/credentials", endpoint]);
  });

  it("asks for the lifetime that is configured", async () => {
    const token = await mint({ endpoint, ttl: "10m" });
    assert.equal(token.expiresOn.getTime(), surroundings.clock.now() + 10 * minutes);
    assert.equal(lakebase.lifetimeMs(lakebase.schema(z).parse(anEndpoint({ ttl: "10m" }))), 10 * minutes);
    assert.equal(lakebase.lifetimeMs(lakebase.schema(z).parse(anEndpoint({}))), hours);
  });

  it("is authorised by a token of Entra as well", async () => {
    const identity = firstIdentity(surroundings.azure);
    const stranger = await failure(mint({ instances: ["orders"] }, entraAuthorization));
    assert.deepEqual([stranger.code, stranger.retryable], ["LakebaseDenied", false]);
    databricks.register({ clientId: identity.clientId });
    const token = await mint({ instances: ["orders"] }, entraAuthorization);
    assert.equal(decodeJwt(token.value.reveal()).sub, identity.clientId);
  });

  it("gives a credential that ends when it says so", async () => {
    const token = await mint({ endpoint, ttl: "5m" });
    const { keys, issuer, audience } = databricks.credentials;
    const verify = (afterMs: number) =>
      jwtVerify(token.value.reveal(), keys, {
        issuer: [issuer ?? ""].flat(),
        audience,
        currentDate: new Date(token.issuedOn.getTime() + afterMs),
      });
    await verify(5 * minutes - 1000);
    await assert.rejects(verify(5 * minutes), { code: "ERR_JWT_EXPIRED" });
  });

  it("says that the instance or the endpoint does not exist", async () => {
    for (const options of [
      { instances: ["orders", "nowhere"] },
      { endpoint: "projects/shop/branches/main/endpoints/nowhere" },
    ]) {
      const error = await failure(mint(options));
      assert.deepEqual(
        [error.code, error.retryable, error.facts.error, error.facts.httpStatus],
        ["LakebaseUnknown", false, "RESOURCE_DOES_NOT_EXIST", 404],
      );
    }
  });

  it("passes on why it was not authorised", async () => {
    surroundings.store("wrong", "canary-wrong");
    const error = await failure(
      mint({ instances: ["orders"] }, { ...oauth(), clientSecret: { secret: "wrong" } }),
    );
    assert.equal(error.code, "ClientRefused");
    assertSilent(error, "canary-wrong");
    assert.equal(surroundings.azure.requests.count("databricks.generateDatabaseCredential"), 0);
  });

  it("tells refusals and answers that are none, without a token in them", async () => {
    const token = "canary-token";
    const cases: [number, unknown, string][] = [
      [200, { token: "", expiration_time: "2026-01-01T01:00:00Z" }, "TokenAnswerMalformed"],
      [200, { token: 7, expiration_time: "2026-01-01T01:00:00Z" }, "TokenAnswerMalformed"],
      [200, { token, expiration_time: "soon" }, "TokenAnswerMalformed"],
      [200, { token, expiration_time: 7 }, "ExpiryUnknown"],
      [200, { token }, "ExpiryUnknown"],
      [200, "<html>", "TokenAnswerMalformed"],
      [400, { error_code: "INVALID_PARAMETER_VALUE", message: token }, "RequestRefused"],
      [401, "", "LakebaseDenied"],
      [401, { error_code: "UNAUTHENTICATED", message: token }, "LakebaseDenied"],
      [403, { error_code: "403", message: token }, "LakebaseDenied"],
      [404, { error_code: "NOT_FOUND", message: token }, "LakebaseUnknown"],
      [404, "", "LakebaseUnknown"],
      [429, { error_code: "RESOURCE_EXHAUSTED", message: token }, "ProviderThrottled"],
      [503, { error_code: "TEMPORARILY_UNAVAILABLE", message: token }, "ProviderUnavailable"],
    ];
    for (const [status, body, code] of cases) {
      const answer = surroundings.azure.faults.inject({
        operation: "databricks.generateDatabaseCredential",
        kind: "answer",
        status,
        body,
      });
      const error = await failure(mint({ instances: ["orders"] }));
      answer.remove();
      assert.equal(error.code, code, JSON.stringify(body));
      assertSilent(error, token, "canary-dose0123");
    }
  });

  it("takes instances or an endpoint, and a lifetime only for an endpoint", () => {
    const cases: [Record<string, unknown>, string[]][] = [
      [{}, []],
      [{ endpoint: undefined }, ["endpoint"]],
      [{ instances: ["orders"] }, ["endpoint"]],
      [{ endpoint: undefined, instances: ["orders"] }, []],
      [{ endpoint: undefined, instances: [] }, ["instances"]],
      [{ endpoint: undefined, instances: ["orders"], ttl: "10m" }, ["ttl"]],
      [{ endpoint: "projects/shop" }, ["endpoint"]],
      [{ ttl: "299s" }, ["ttl"]],
      [{ ttl: "5m" }, []],
      [{ ttl: "1h" }, []],
      [{ ttl: "1h1s" }, ["ttl"]],
      [{ ttl: "3600" }, ["ttl"]],
    ];
    for (const [change, paths] of cases) {
      assert.deepEqual(complaints(lakebase, anEndpoint(change)), paths, JSON.stringify(change));
    }
    const complaintsAbout = (authorization: unknown) => complaints(lakebase, anEndpoint({ authorization }));
    assert.deepEqual(complaintsAbout({ kind: "module" }), ["authorization.kind"]);
    assert.deepEqual(complaintsAbout({ ...oauth(), host: "x" }), ["authorization.host"]);
    assert.deepEqual(complaintsAbout({ ...oauth(), clientId: undefined }), ["authorization.clientId"]);
    assert.deepEqual(complaintsAbout({ kind: "entra", scope: "x" }), ["authorization.scope"]);
  });

  it("names the secret that its authorization reads", () => {
    assert.deepEqual(lakebase.secrets(lakebase.schema(z).parse(anEndpoint({}))), [
      { path: ["authorization", "clientSecret"], reference: clientSecret, access: "read" },
    ]);
    const entra = lakebase.schema(z).parse(anEndpoint({ authorization: entraAuthorization }));
    assert.deepEqual(lakebase.secrets(entra), []);
  });
});

function anEndpoint(change: Record<string, unknown>): Record<string, unknown> {
  const host = "https://x.cloud.databricks.com";
  return { kind, host, authorization: { ...oauth(), host }, endpoint, ...change };
}
