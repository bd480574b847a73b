import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import { decodeJwt, exportJWK } from "jose";
import * as z from "zod";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { oauthClientCredentials } from "../../src/sources/oauthClientCredentials.ts";
import { hours } from "../builders.ts";
import { firstIdentity } from "../local/support.ts";
import { assertSilent, failure } from "../oauth/setup.ts";
import { aMint, complaints, type Surroundings, surround } from "./setup.ts";

const kind = "oauth-client-credentials";
const clientSecret = { secret: "client-secret" };
let surroundings: Surroundings;
let server: OAuthServer;

before(async () => {
  surroundings = await surround({ resources: [{ identifier: "api://AzureADTokenExchange" }] });
  server = await startOAuthServer(surroundings.azure, {
    federation: surroundings.azure.issuer,
    scopes: ["read", "write"],
  });
  server.register({ clientId: "rotator", secret: "canary s:e+c%ret" });
  surroundings.store("client-secret", "canary s:e+c%ret");
});
after(() => surroundings[Symbol.asyncDispose]());
afterEach(() => surroundings.azure.faults.clear());

describe("the oauth-client-credentials source", () => {
  it("mints by discovery and by a token endpoint, with the secret in the header or in the form", async () => {
    const { clock } = surroundings;
    for (const place of [{ issuer: server.issuer }, { tokenEndpoint: server.tokenEndpoint }]) {
      for (const authentication of [undefined, "basic", "post"]) {
        const options = { kind, ...place, clientId: "rotator", clientSecret, authentication };
        const source = await surroundings.source({ ...options, scopes: ["read", "write"] });
        const token = await source.mint(aMint());
        assert.equal(token.expiresOn.getTime(), clock.now() + hours);
        assert.equal(token.issuedOn.getTime(), clock.now());
        assert.deepEqual(token.attributes, { scope: "read write" });
        assert.equal((await server.verify(token.value.reveal(), clock.now())).sub, "rotator");
      }
    }
  });

  it("asks for an audience and a resource", async () => {
    const bodies: URLSearchParams[] = [];
    const source = await surroundings.source({
      kind,
      tokenEndpoint: server.tokenEndpoint,
      clientId: "rotator",
      clientSecret,
      audience: "https://api.example.org",
      resource: "https://resource.example.org",
    });
    const transport = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      bodies.push(init?.body as URLSearchParams);
      return await transport(input, init);
    };
    try {
      const token = await source.mint(aMint());
      assert.equal(decodeJwt(token.value.reveal()).aud, "https://resource.example.org");
    } finally {
      globalThis.fetch = transport;
    }
    assert.equal(bodies[0]?.get("audience"), "https://api.example.org");
  });

  it("proves itself by a private key", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    server.register({ clientId: "signing", publicKey: await exportJWK(publicKey) });
    surroundings.store("key", privateKey.export({ format: "pem", type: "pkcs8" }).toString());
    const privateKeyOption = { secret: "key", algorithm: "ES256" };
    for (const place of [{ issuer: server.issuer }, { tokenEndpoint: server.tokenEndpoint }]) {
      const source = await surroundings.source({
        kind,
        ...place,
        clientId: "signing",
        privateKey: privateKeyOption,
      });
      const token = await source.mint(aMint());
      assert.equal((await server.verify(token.value.reveal(), surroundings.clock.now())).sub, "signing");
    }
  });

  it("proves itself by a token of the managed identity, with no secret anywhere", async () => {
    const { issuer } = surroundings.azure;
    server.register({
      clientId: "federated",
      federated: [
        {
          issuer: `${issuer.url}/${issuer.tenantId}/`,
          audiences: ["api://AzureADTokenExchange"],
          subject: firstIdentity(surroundings.azure).objectId,
        },
      ],
    });
    const source = await surroundings.source({
      kind,
      issuer: server.issuer,
      clientId: "federated",
      assertion: { source: { kind: "entra", scope: "api://AzureADTokenExchange/.default" } },
    });
    const token = await source.mint(aMint());
    assert.equal((await server.verify(token.value.reveal(), surroundings.clock.now())).sub, "federated");
  });

  it("says which secret is missing", async () => {
    const options = { kind, issuer: server.issuer, clientId: "rotator", clientSecret: { secret: "nowhere" } };
    const source = await surroundings.source(options);
    const error = await failure(source.mint(aMint()));
    assert.deepEqual([error.code, error.facts.secret], ["SourceSecretMissing", "nowhere"]);
  });

  it("tells errors without the secret", async () => {
    const options = { kind, issuer: server.issuer, clientId: "rotator", clientSecret };
    const source = await surroundings.source({ ...options, scopes: ["admin"] });
    const error = await failure(source.mint(aMint()));
    assert.equal(error.code, "ScopeRefused");
    assertSilent(error, "canary s:e+c%ret");
  });

  it("takes the place of the server and the proof of the client exactly once", () => {
    const good = { kind, issuer: "https://login.example.org", clientId: "c", clientSecret };
    assert.deepEqual(complaints(oauthClientCredentials, good), []);
    const cases: [Record<string, unknown>, string[]][] = [
      [{ issuer: undefined }, ["issuer"]],
      [{ tokenEndpoint: "https://login.example.org/token" }, ["issuer"]],
      [{ clientSecret: undefined }, ["clientSecret"]],
      [{ privateKey: { secret: "key" } }, ["clientSecret"]],
      [{ clientSecret: undefined, privateKey: { secret: "key" } }, []],
      [
        { clientSecret: undefined, privateKey: { secret: "key" }, authentication: "post" },
        ["authentication"],
      ],
      [{ authentication: "header" }, ["authentication"]],
      [{ scopes: ["read write"] }, ["scopes.0"]],
      [{ clientId: "" }, ["clientId"]],
      [{ clientSecret: "text" }, ["clientSecret"]],
      [{ lifetime: "1h" }, [""]],
    ];
    for (const [change, paths] of cases) {
      assert.deepEqual(
        complaints(oauthClientCredentials, { ...good, ...change }),
        paths,
        JSON.stringify(change),
      );
    }
  });

  it("takes no address that a secret must not be sent to", () => {
    const complaintsAbout = (issuer: string) =>
      complaints(oauthClientCredentials, { kind, issuer, clientId: "c", clientSecret });
    for (const issuer of [
      "https://login.example.org",
      "https://login.example.org:8443/realms/one",
      "https://login.example.org/token?p=policy",
      "http://localhost:8080",
      "http://127.0.0.1:8080/x",
      "http://[::1]:8080",
    ]) {
      assert.deepEqual(complaintsAbout(issuer), [], issuer);
    }
    for (const issuer of [
      "",
      "login.example.org",
      "http://login.example.org",
      "http://localhost.example.org",
      "http://127.0.0.1.example.org",
      "https://user:password@login.example.org",
      "https://login.example.org/#fragment",
      "https://login.example.org/a b",
      "https://",
      "https://login.example.org:99999",
      "https://login.example.org\\@evil.example.org",
      "ftp://login.example.org",
    ]) {
      assert.deepEqual(complaintsAbout(issuer), ["issuer"], issuer);
    }
  });

  it("names every secret that it reads", () => {
    const secretsOf = (options: Record<string, unknown>) =>
      oauthClientCredentials.secrets(
        oauthClientCredentials.schema(z).parse({
          kind,
          issuer: "https://x.example.org",
          clientId: "c",
          ...options,
        }),
      );
    assert.deepEqual(secretsOf({ clientSecret }), [
      { path: ["clientSecret"], reference: clientSecret, access: "read" },
    ]);
    assert.deepEqual(
      secretsOf({ privateKey: { secret: "key", vault: "https://kv.vault.azure.net" } }).map(
        ({ path }) => path,
      ),
      [["privateKey"]],
    );
    const assertion = { source: { kind: "entra", scope: "api://x/.default" } };
    assert.deepEqual(secretsOf({ assertion }), []);
  });
});
