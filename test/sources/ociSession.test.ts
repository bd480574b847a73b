import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import * as z from "zod";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { type EmbeddedOci, startOci } from "../../src/local/oci.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import type { MintContext, Token, TokenSource } from "../../src/ports.ts";
import { ociSession } from "../../src/sources/ociSession.ts";
import { hours, minutes } from "../builders.ts";
import { firstIdentity } from "../local/support.ts";
import { assertSilent, failure } from "../oauth/setup.ts";
import { aMint, complaints, type Surroundings, surround } from "./setup.ts";

const kind = "oci-session";
const days = 24 * hours;
const clientSecret = "canary s:e+c%ret";
const subject = { kind: "entra", scope: "api://oci/.default" };

let surroundings: Surroundings;
let people: OAuthServer;
let oci: EmbeddedOci;
/** Secrets of its own for every test. */
let names: { readonly keyPair: { secret: string }; readonly refreshToken: { secret: string } };
let count = 0;

before(async () => {
  surroundings = await surround({ resources: [{ identifier: "api://oci" }, { identifier: "api://other" }] });
  const { azure } = surroundings;
  people = await startOAuthServer(azure, {
    clients: [{ clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] }],
  });
  oci = await startOci(azure, {
    clients: [{ clientId: "rotator", secret: clientSecret }, { clientId: "public" }],
    trusts: [
      {
        issuer: `${azure.issuer.url}/${azure.issuer.tenantId}/`,
        audiences: ["api://oci"],
        subject: firstIdentity(azure).objectId,
      },
      { issuer: people.issuer, audiences: [people.audience], subject: "somebody@example.org" },
    ],
    federation: {
      verify: async (token, audiences, now) =>
        await azure.issuer.verify(token, audiences, now).catch(async () => {
          const { sub } = await people.verify(token, now);
          return { objectId: String(sub), clientId: "rotator", issuer: people.issuer };
        }),
    },
  });
  surroundings.store("oci-client-secret", clientSecret);
});
after(() => surroundings[Symbol.asyncDispose]());
beforeEach(() => {
  count += 1;
  names = { keyPair: { secret: `key-pair-${count}` }, refreshToken: { secret: `refresh-token-${count}` } };
});
afterEach(() => {
  surroundings.azure.faults.clear();
  oci.sessionsEndAt = undefined;
});

type Options = Readonly<Record<string, unknown>>;

function aSource(options: Options = {}): Promise<TokenSource> {
  return surroundings.source({
    kind,
    domain: oci.url,
    clientId: "rotator",
    clientSecret: { secret: "oci-client-secret" },
    subject,
    keyPair: names.keyPair,
    ...options,
  });
}

let run = 0;
/** The context of a run of its own: the tries of a run have the end of their retries in common. */
function aRun(overrides: Partial<MintContext> = {}): MintContext {
  run += 1;
  return aMint({ giveUpAt: run, ...overrides });
}

function storedKeys(): string[] {
  return surroundings.vault.versions(names.keyPair.secret).map(({ value }) => value.reveal());
}

/** Checks the token as OCI does, and that it is bound to the key that came along. */
async function assertBound(token: Token): Promise<void> {
  const privateKey = token.companions?.privateKey?.reveal() ?? "";
  const claims = await oci.verify(token.value.reveal(), surroundings.clock.now());
  const { n, e } = createPublicKey(privateKey).export({ format: "jwk" });
  const bound = JSON.parse(String(claims.jwk));
  assert.deepEqual([bound.n, bound.e], [n, e]);
}

describe("the oci-session source", () => {
  it("mints a session with its key pair, fingerprint and place", async () => {
    const source = await aSource({ region: "eu-frankfurt-1", tenancy: "ocid1.tenancy.oc1..example" });
    oci.sessionLifetime = 1800;
    const token = await source.mint(aRun());
    oci.sessionLifetime = 3600;
    await assertBound(token);
    assert.equal(token.expiresOn.getTime(), surroundings.clock.now() + 30 * minutes);
    assert.equal(token.issuedOn.getTime(), surroundings.clock.now());
    const privateKey = token.companions?.privateKey?.reveal() ?? "";
    assert.match(privateKey, /^-----BEGIN PRIVATE KEY-----\n/);
    assert.deepEqual(storedKeys(), [privateKey]);
    const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    assert.deepEqual(token.attributes, {
      fingerprint: createHash("md5")
        .update(der)
        .digest("hex")
        .replace(/(..)(?=.)/g, "$1:"),
      region: "eu-frankfurt-1",
      tenancy: "ocid1.tenancy.oc1..example",
    });
  });

  it("keeps the key pair across renewals and processes", async () => {
    const source = await aSource();
    const first = await source.mint(aRun());
    await surroundings.clock.advance(40 * minutes);
    for (const later of [source, await aSource()]) {
      const token = await later.mint(aRun());
      await assertBound(token);
      assert.ok(!token.value.equals(first.value));
      assert.equal(token.attributes?.fingerprint, first.attributes?.fingerprint);
    }
    assert.equal(storedKeys().length, 1);
  });

  it("replaces the key pair on demand, once for all tries of a run", async () => {
    const source = await aSource();
    await source.mint(aRun());
    const forced = aRun({ forced: true });
    surroundings.azure.faults.inject({ kind: "answer", operation: "oci.token", status: 503, times: 2 });
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      assert.equal((await failure(source.mint(forced))).retryable, true);
    }
    const token = await source.mint(forced);
    await assertBound(token);
    assert.equal(storedKeys().length, 2);
    assert.equal(token.companions?.privateKey?.reveal(), storedKeys()[0]);
    await source.mint(aRun());
    assert.equal(storedKeys().length, 2);
  });

  it("replaces the key pair when it is as old as keyRotation, and not a moment before", async () => {
    const source = await aSource({ keyRotation: "30d" });
    await source.mint(aRun());
    await surroundings.clock.advance(30 * days - 1000);
    await source.mint(aRun());
    assert.equal(storedKeys().length, 1);
    await surroundings.clock.advance(1000);
    const token = await source.mint(aRun());
    await assertBound(token);
    assert.equal(storedKeys().length, 2);
  });

  it("has stored a new key pair before it is used: a crash in between costs nothing", async () => {
    surroundings.azure.faults.inject({ kind: "reset", operation: "oci.token", times: 1 });
    await failure((await aSource()).mint(aRun()));
    assert.equal(storedKeys().length, 1);
    await assertBound(await (await aSource()).mint(aRun()));
    assert.equal(storedKeys().length, 1);
  });

  it("makes one key pair where two runs find none", async () => {
    const sources = [await aSource(), await aSource()];
    const runs = await Promise.allSettled(sources.map((source) => source.mint(aRun())));
    for (const { reason } of runs.filter((one) => one.status === "rejected")) {
      assert.equal(reason.code, "LeaseHeld");
    }
    for (const source of sources) {
      await assertBound(await source.mint(aRun()));
    }
    assert.equal(storedKeys().length, 1);
  });

  it("takes a key pair that somebody stored, with a plus in its public key", async () => {
    let pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    while (!pair.publicKey.export({ type: "spki", format: "der" }).toString("base64").includes("+")) {
      pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    }
    surroundings.store(
      names.keyPair.secret,
      pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString(),
    );
    const token = await (await aSource()).mint(aRun());
    await assertBound(token);
    assert.match(token.companions?.privateKey?.reveal() ?? "", /^-----BEGIN PRIVATE KEY-----\n/);
    assert.equal(storedKeys().length, 1);
  });

  it("never overwrites what is no key pair", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const text of ["canary-not-a-key", privateKey.export({ type: "pkcs8", format: "pem" }).toString()]) {
      surroundings.store(names.keyPair.secret, text);
      const before = storedKeys().length;
      for (const forced of [false, true]) {
        const error = await failure((await aSource()).mint(aRun({ forced })));
        assert.equal(error.code, "KeyPairUnusable");
        assertSilent(error, text);
      }
      assert.equal(storedKeys().length, before);
    }
  });

  it("hands on a session whose expiry did not move, for the engine to see", async () => {
    const source = await aSource();
    oci.sessionsEndAt = surroundings.clock.now() + hours;
    const first = await source.mint(aRun());
    await surroundings.clock.advance(20 * minutes);
    const current = { fingerprint: first.value.fingerprint(), expiresOn: first.expiresOn };
    const second = await source.mint(aRun({ current }));
    assert.equal(second.expiresOn.getTime(), first.expiresOn.getTime());
    assert.ok(second.issuedOn > first.issuedOn);
  });

  it("works for a public client, and with the answer that the standard asks for", async () => {
    await assertBound(await (await aSource({ clientId: "public", clientSecret: undefined })).mint(aRun()));
    const source = await aSource();
    const { value } = await source.mint(aRun());
    const body = { access_token: value.reveal(), token_type: "Bearer" };
    surroundings.azure.faults.inject({ kind: "answer", operation: "oci.token", status: 200, body, times: 1 });
    assert.ok((await source.mint(aRun())).value.equals(value));
  });
});

describe("a session that is refused", () => {
  it("says why, and shows nothing", async () => {
    surroundings.store("oci-wrong-secret", "canary-wrong");
    const cases: [Options, string][] = [
      [{ clientSecret: { secret: "oci-wrong-secret" } }, "ClientRefused"],
      [{ clientId: "nobody" }, "ClientRefused"],
      [{ clientSecret: { secret: "oci-no-secret" } }, "SourceSecretMissing"],
      [{ subject: { ...subject, scope: "api://other/.default" } }, "SubjectTokenRefused"],
    ];
    for (const [options, code] of cases) {
      const error = await failure((await aSource(options)).mint(aRun()));
      assert.equal(error.code, code);
      assert.equal(error.retryable, false);
      assertSilent(error, clientSecret, "canary-wrong", ...storedKeys());
    }
  });

  it("is an answer without a session, or one that never ends", async () => {
    const source = await aSource();
    const { faults } = surroundings.azure;
    for (const [body, code] of [
      [{}, "TokenAnswerMalformed"],
      [{ token: 7 }, "TokenAnswerMalformed"],
      [{ token: "canary-opaque" }, "ExpiryUnknown"],
    ] as const) {
      faults.inject({ kind: "answer", operation: "oci.token", status: 200, body, times: 1 });
      const error = await failure(source.mint(aRun()));
      assert.equal(error.code, code);
      assertSilent(error, "canary-opaque");
    }
  });
});

describe("a session for somebody who has signed in", () => {
  function asPerson(): Promise<TokenSource> {
    return aSource({
      subject: {
        kind: "oauth-refresh-token",
        tokenEndpoint: people.tokenEndpoint,
        clientId: "rotator",
        scopes: ["offline_access", "all-apis"],
        refreshToken: names.refreshToken,
      },
    });
  }

  it("spends one refresh token for all tries of a run", async () => {
    const scopes = ["offline_access", "all-apis"];
    surroundings.store(
      names.refreshToken.secret,
      await signedIn(people, surroundings.environment, { scopes }),
    );
    const source = await asPerson();
    surroundings.azure.faults.inject({ kind: "answer", operation: "oci.token", status: 503, times: 2 });
    const context = aRun();
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      assert.equal((await failure(source.mint(context))).code, "ProviderUnavailable");
    }
    await assertBound(await source.mint(context));
    assert.equal(surroundings.vault.versions(names.refreshToken.secret).length, 2);
    await source.mint(aRun());
    assert.equal(surroundings.vault.versions(names.refreshToken.secret).length, 3);
  });

  it("asks for a sign-in before a key pair is made", async () => {
    const error = await failure((await asPerson()).mint(aRun()));
    assert.equal(error.code, "SignInRequired");
    assert.equal(error.facts.command, "token-rotator login app");
    assert.deepEqual(storedKeys(), []);
  });
});

describe("the options of oci-session", () => {
  const good = {
    kind,
    domain: "https://idcs-0123456789abcdef.identity.oraclecloud.com",
    clientId: "rotator",
    clientSecret: { secret: "oci-client-secret" },
    subject,
    keyPair: { secret: "oci-key-pair" },
  };
  const wrong: [string, Options, string[]][] = [
    ["a domain with a path", { domain: `${good.domain}/ui/v1` }, ["domain"]],
    ["a domain without TLS", { domain: "http://idcs.identity.oraclecloud.com" }, ["domain"]],
    ["a subject of another kind", { subject: { kind: "oci-session" } }, ["subject"]],
    ["a key in place of its name", { keyPair: "-----BEGIN" }, ["keyPair"]],
    ["an age that is none", { keyRotation: "monthly" }, ["keyRotation"]],
    ["a region in words", { region: "Germany Central" }, ["region"]],
    ["a tenancy that is none", { tenancy: "example" }, ["tenancy"]],
  ];
  for (const [what, options, paths] of wrong) {
    it(`refuse ${what}`, () => {
      assert.deepEqual(complaints(ociSession, { ...good, ...options }), paths);
    });
  }

  it("name every secret, those of the subject too", () => {
    const options = ociSession.schema(z).parse({
      ...good,
      subject: {
        kind: "oauth-refresh-token",
        tenant: "common",
        clientId: "rotator",
        scopes: ["offline_access"],
        refreshToken: { secret: "oci-refresh-token" },
      },
    });
    assert.deepEqual(
      ociSession
        .secrets(options)
        .map(({ path, reference, access }) => [path.join("."), reference.secret, access]),
      [
        ["clientSecret", "oci-client-secret", "read"],
        ["subject.refreshToken", "oci-refresh-token", "keep"],
        ["keyPair", "oci-key-pair", "keep"],
      ],
    );
  });
});
