import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { decodeJwt, decodeProtectedHeader, exportJWK } from "jose";
import { createCertificateAuthority } from "../../src/local/certificateAuthority.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { type AssertionAlgorithm, assertionAlgorithms } from "../../src/oauth/algorithms.ts";
import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  federatedAssertion,
  noClient,
  privateKeyJwt,
  publicClient,
} from "../../src/oauth/authentication.ts";
import { createOAuthClient } from "../../src/oauth/client.ts";
import { firstIdentity } from "../local/support.ts";
import { fc } from "../properties.ts";
import { VirtualClock } from "../virtualClock.ts";
import { aContext, assertSilent, failure, holding, type Setup, setUp } from "./setup.ts";

const clock = new VirtualClock();
let setup: Setup;
let server: OAuthServer;

before(async () => {
  setup = await setUp({
    clock,
    resources: [
      {
        identifier: "api://AzureADTokenExchange",
        accessTokenVersion: 2,
        appId: "fb60f99c-7a34-4190-8149-302f77469936",
      },
    ],
  });
  server = await startOAuthServer(setup.azure, { federation: setup.azure.issuer });
});
after(() => setup[Symbol.asyncDispose]());

function mint(clientId: string, authentication: ClientAuthentication) {
  const address = { tokenEndpoint: server.tokenEndpoint };
  return setup.client({ server: address, clientId, authentication }).clientCredentials({}, aContext());
}

describe("a client secret", () => {
  it("arrives as it is, in the header and in the form, whatever characters it and the id have", async () => {
    // RFC 6749, appendix A: both are printable ASCII.
    const printable = fc.string({ unit: fc.constantFrom(...printableAscii()), minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(printable, printable, async (clientId, secret) => {
        server.register({ clientId, secret });
        for (const send of [clientSecretBasic, clientSecretPost]) {
          const answer = await mint(clientId, send(holding(secret)));
          assert.equal(decodeJwt(answer.accessToken.reveal()).client_id, clientId);
        }
      }),
      { numRuns: 30, examples: [["a b+c%d:e", "p+ s:%&=/?#\"'~*()-._!"]] },
    );
  });

  it("is read at every request, and without the line break of the file it came from", async () => {
    const secrets = ["stale", "first\n", "second\r\n"];
    const authentication = clientSecretBasic(async () => holding(secrets.shift() ?? "")());
    server.register({ clientId: "turning", secret: "first" });
    assert.equal((await failure(mint("turning", authentication))).code, "ClientRefused");
    await mint("turning", authentication);
    server.register({ clientId: "turning", secret: "second" });
    await mint("turning", authentication);
  });

  it("leaves an id alone that a server would know without decoding: a GUID", async () => {
    const headers: unknown[] = [];
    const { authentication, clientId } = createOAuthClient(
      {
        server: { tokenEndpoint: server.tokenEndpoint },
        clientId: "0b0c9d5e-1111-4222-8333-444444444444",
        authentication: clientSecretBasic(holding("dose-a.b_c")),
      },
      setup.environment,
    );
    const sent = new Headers();
    await (await authentication(aContext()))(
      { issuer: "x" },
      { client_id: clientId },
      new URLSearchParams(),
      sent,
    );
    headers.push(Buffer.from(sent.get("authorization")?.slice(6) ?? "", "base64").toString());
    assert.deepEqual(headers, ["0b0c9d5e-1111-4222-8333-444444444444:dose-a.b_c"]);
  });

  it("that is wrong is told by its code alone", async () => {
    server.register({ clientId: "rotator", secret: "right" });
    for (const send of [clientSecretBasic, clientSecretPost]) {
      const error = await failure(mint("rotator", send(holding("canary-wrong-secret"))));
      assert.deepEqual(
        [error.code, error.retryable, error.facts.error, error.facts.httpStatus],
        ["ClientRefused", false, "invalid_client", 401],
      );
      assertSilent(error, "canary-wrong-secret");
    }
  });
});

describe("a private key", () => {
  it("signs with every algorithm, by the clock that was given", async () => {
    for (const algorithm of assertionAlgorithms) {
      const { privateKey, publicKey } = keyPair(algorithm);
      server.register({ clientId: "signing", publicKey: { ...(await exportJWK(publicKey)), kid: "key-1" } });
      const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
      const keyed = privateKeyJwt(holding(pem), { algorithm, keyId: "key-1" });
      if (["RS256", "PS256", "ES256", "Ed25519"].includes(algorithm)) {
        await mint("signing", keyed);
      }
      const { header, claims } = await assertion(keyed);
      assert.deepEqual([header.alg, header.kid], [algorithm, "key-1"]);
      assert.deepEqual([claims.iss, claims.sub], ["signing", "signing"]);
      assert.equal(claims.aud, server.tokenEndpoint);
      assert.ok(Math.abs(Number(claims.iat) - clock.now() / 1000) <= 1);
      assert.equal(Number(claims.exp) - Number(claims.iat), 60);
    }
  });

  it("finds the algorithm that fits it, in every form that OpenSSL writes", async () => {
    const cases = [
      [keyPair("RS256"), "pkcs1", "RS256"],
      [keyPair("ES256"), "sec1", "ES256"],
      [keyPair("ES384"), "pkcs8", "ES384"],
      [keyPair("ES512"), "pkcs8", "ES512"],
      [keyPair("Ed25519"), "pkcs8", "Ed25519"],
    ] as const;
    for (const [{ privateKey }, type, algorithm] of cases) {
      const pem = privateKey.export({ format: "pem", type: type as "pkcs8" }).toString();
      assert.equal((await assertion(privateKeyJwt(holding(pem), {}))).header.alg, algorithm);
    }
  });

  it("with its certificate beside it is named by the thumbprint", async () => {
    const { leaf } = await createCertificateAuthority();
    const { header } = await assertion(privateKeyJwt(holding(`${leaf.key}\n${leaf.cert}`), {}));
    const hex = new X509Certificate(leaf.cert).fingerprint256.replaceAll(":", "");
    assert.equal(header["x5t#S256"], Buffer.from(hex, "hex").toString("base64url"));
  });

  it("that cannot be used is told without a letter of it", async () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const short = rsa.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    const encrypted = keyPair("ES256").privateKey.export({
      format: "pem",
      type: "pkcs8",
      cipher: "aes-128-cbc",
      passphrase: "x",
    });
    const ec = keyPair("ES256").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    const cases: [string, AssertionAlgorithm | undefined][] = [
      ["canary-no-key", undefined],
      ["-----BEGIN PRIVATE KEY-----\ncanary-no-key\n-----END PRIVATE KEY-----", undefined],
      [short, undefined],
      [String(encrypted), undefined],
      [ec, "RS256"],
    ];
    for (const [pem, algorithm] of cases) {
      const error = await failure(mint("signing", privateKeyJwt(holding(pem), { algorithm })));
      assert.deepEqual([error.code, error.retryable], ["ClientKeyUnusable", false]);
      assertSilent(error, "canary-no-key", pem.split("\n")[1] ?? pem);
    }
  });
});

describe("a federated assertion", () => {
  it("proves the client by a token of the managed identity", async () => {
    const { issuer } = setup.azure;
    const identity = firstIdentity(setup.azure);
    const subject = identity.objectId;
    const federated = [
      {
        issuer: `${issuer.url}/${issuer.tenantId}/v2.0`,
        audiences: ["fb60f99c-7a34-4190-8149-302f77469936"],
        subject,
      },
    ];
    server.register({ clientId: "federated", federated });
    const token = await issuer.issue(identity, "api://AzureADTokenExchange", 3600, clock.now());
    await mint(
      "federated",
      federatedAssertion(async () => token.value),
    );
    server.register({ clientId: "federated", federated: [{ ...federated[0], subject: "another" } as never] });
    const error = await failure(
      mint(
        "federated",
        federatedAssertion(async () => token.value),
      ),
    );
    assert.equal(error.code, "ClientRefused");
    assertSilent(error, token.value.reveal());
  });
});

describe("no authentication", () => {
  it("names the client, or not even that", async () => {
    const named = new URLSearchParams();
    await (await publicClient(aContext()))({ issuer: "x" }, { client_id: "me" }, named, new Headers());
    assert.equal(named.toString(), "client_id=me");
    const unnamed = new URLSearchParams();
    const headers = new Headers();
    await (await noClient(aContext()))({ issuer: "x" }, { client_id: "none" }, unnamed, headers);
    assert.deepEqual([unnamed.toString(), [...headers]], ["", []]);
  });
});

function printableAscii(): string[] {
  return Array.from({ length: 0x7e - 0x20 + 1 }, (_, index) => String.fromCharCode(0x20 + index));
}

const rsaKeys = generateKeyPairSync("rsa", { modulusLength: 2048 });

function keyPair(algorithm: AssertionAlgorithm) {
  switch (algorithm) {
    case "RS256":
    case "PS256":
      return rsaKeys;
    case "Ed25519":
      return generateKeyPairSync("ed25519");
    default:
      return generateKeyPairSync("ec", {
        namedCurve: `P-${algorithm === "ES512" ? 521 : algorithm.slice(2)}`,
      });
  }
}

/** The assertion that is sent. */
async function assertion(authentication: ClientAuthentication) {
  const form = new URLSearchParams();
  const { tokenEndpoint } = server;
  const client = setup.client({ server: { tokenEndpoint }, clientId: "signing", authentication });
  const send = client.send("clientCredentials", aContext(), {
    send: async (call) => {
      await call.authentication(call.server, call.client, form, new Headers());
      throw new Error("seen");
    },
  });
  await assert.rejects(send);
  const jwt = form.get("client_assertion") ?? "";
  return { header: decodeProtectedHeader(jwt), claims: decodeJwt(jwt) };
}
