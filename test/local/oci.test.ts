import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { decodeJwt } from "jose";
import { TokenRefused } from "../../src/local/issuer.ts";
import { type EmbeddedOci, startOci } from "../../src/local/oci.ts";
import { type Setup, setUp } from "../oauth/setup.ts";
import { VirtualClock } from "../virtualClock.ts";
import { firstIdentity } from "./support.ts";

const clock = new VirtualClock();
const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
let setup: Setup;
let oci: EmbeddedOci;
let subjectToken: string;

before(async () => {
  setup = await setUp({ clock, resources: [{ identifier: "api://oci" }, { identifier: "api://other" }] });
  const { issuer } = setup.azure;
  oci = await startOci(setup.azure, {
    clients: [{ clientId: "rotator", secret: "right" }],
    trusts: [
      {
        issuer: `${issuer.url}/${issuer.tenantId}/`,
        audiences: ["api://oci"],
        subject: firstIdentity(setup.azure).objectId,
      },
    ],
    federation: issuer,
  });
  subjectToken = await entraToken("api://oci");
});
after(() => setup[Symbol.asyncDispose]());

async function entraToken(resource: string): Promise<string> {
  const token = await setup.azure.issuer.issue(firstIdentity(setup.azure), resource, 3600, clock.now());
  return token.value.reveal();
}

async function exchange(form: Record<string, string> = {}, client = "rotator:right") {
  const response = await fetch(`${oci.url}/oauth2/v1/token`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(client).toString("base64")}` },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      requested_token_type: "urn:oci:token-type:oci-upst",
      subject_token: subjectToken,
      subject_token_type: "jwt",
      public_key: spki,
      ...form,
    }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("the token endpoint of an identity domain", () => {
  it("answers with a session that is bound to the public key, and with nothing else", async () => {
    const { status, body } = await exchange();
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body), ["token"]);
    const claims = await oci.verify(String(body.token), clock.now());
    assert.equal(claims.exp, clock.now() / 1000 + 3600);
    assert.equal(claims.sess_exp, new Date(clock.now() + 3_600_000).toUTCString());
    const { n, e, kty } = publicKey.export({ format: "jwk" });
    assert.deepEqual(JSON.parse(String(claims.jwk)), { n, e, kty, kid: "upst", alg: "RS256", use: "sig" });
  });

  it("gives sessions that end when they are told to", async () => {
    oci.sessionLifetime = 300;
    const { body } = await exchange();
    assert.equal(decodeJwt(String(body.token)).exp, clock.now() / 1000 + 300);
    await assert.rejects(oci.verify(String(body.token), clock.now() + 300_000), TokenRefused);
    oci.sessionsEndAt = clock.now() + 60_000;
    assert.equal(decodeJwt(String((await exchange()).body.token)).exp, clock.now() / 1000 + 60);
  });

  it("refuses, with an id for the support", async () => {
    const cases: [Record<string, string>, string, number, string][] = [
      [{}, "rotator:wrong", 401, "invalid_client"],
      [{}, "nobody:right", 401, "invalid_client"],
      [{ subject_token: "none" }, "rotator:right", 400, "invalid_grant"],
      [{ subject_token: await entraToken("api://other") }, "rotator:right", 400, "invalid_grant"],
      [{ subject_token_type: "saml" }, "rotator:right", 400, "invalid_request"],
      [{ requested_token_type: "urn:other" }, "rotator:right", 400, "invalid_request"],
      [{ public_key: "" }, "rotator:right", 400, "invalid_request"],
      // A plus that was sent as it is arrives as a blank.
      [{ public_key: `${spki.slice(0, 40)} ${spki.slice(41)}` }, "rotator:right", 400, "invalid_request"],
    ];
    for (const [form, client, status, error] of cases) {
      const answer = await exchange(form, client);
      assert.deepEqual([answer.status, answer.body.error], [status, error]);
      assert.match(String(answer.body.ecid), /^[0-9a-f-]{36}$/);
      assert.equal(typeof answer.body.error_description, "string");
    }
  });
});
