import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from "jose";
import { type EmbeddedAzure, startEmbeddedAzure, userAssignedIdentity } from "../../src/local/azure.ts";
import { TokenRefused } from "../../src/local/issuer.ts";
import { VirtualClock } from "../virtualClock.ts";

const principal = userAssignedIdentity("of-this-test");
const custom = { identifier: "https://example.org/7d22ece1", appId: "7d22ece1-dd60-4279-a911-4b7b95934f2e" };

describe("the embedded issuer", () => {
  const clock = new VirtualClock();
  let azure: EmbeddedAzure;
  let trust: Disposable;

  before(async () => {
    azure = await startEmbeddedAzure({
      clock,
      resources: [{ ...custom, accessTokenVersion: 2, roles: { [principal.objectId]: ["Db.Connect"] } }],
    });
    trust = azure.trustInThisProcess();
  });
  after(async () => {
    trust[Symbol.dispose]();
    await azure.stop();
  });

  const issue = async (identifier: string, lifetimeSeconds = 3600) => {
    const token = await azure.issuer.issue(principal, identifier, lifetimeSeconds, clock.now());
    return { ...token, text: token.value.reveal() };
  };
  const seconds = () => Math.floor(clock.now() / 1000);

  it("issues version 1 tokens as Entra ID does for an application", async () => {
    const token = await issue("https://vault.azure.net");
    const { uti, ...claims } = decodeJwt(token.text);
    const v1Issuer = `${azure.issuer.url}/${azure.issuer.tenantId}/`;
    assert.deepEqual(claims, {
      aud: "https://vault.azure.net",
      iss: v1Issuer,
      iat: seconds() - 300,
      nbf: seconds() - 300,
      exp: seconds() + 3600,
      appid: principal.clientId,
      appidacr: "2",
      idp: v1Issuer,
      idtyp: "app",
      oid: principal.objectId,
      sub: principal.objectId,
      tid: azure.issuer.tenantId,
      ver: "1.0",
      xms_mirid: principal.resourceId,
    });
    assert.equal(typeof uti, "string");
    assert.deepEqual([token.notBefore, token.expiresOn], [claims.nbf, claims.exp]);
    assert.equal(String(token.value), "[redacted]");
  });

  it("issues version 2 tokens, with roles, where the registration asks for them", async () => {
    const claims = decodeJwt((await issue(custom.identifier)).text);
    assert.equal(claims.aud, custom.appId);
    assert.equal(claims.iss, `${azure.issuer.url}/${azure.issuer.tenantId}/v2.0`);
    assert.equal(claims.azp, principal.clientId);
    assert.equal(claims.appid, undefined);
    assert.equal(claims.ver, "2.0");
    assert.deepEqual(claims.roles, ["Db.Connect"]);
  });

  it("never issues the same token twice", async () => {
    const [one, other] = await Promise.all([issue(custom.identifier), issue(custom.identifier)]);
    assert.notEqual(one.text, other.text);
  });

  for (const version of ["/v2.0", ""]) {
    it(`publishes keys by the discovery document "${version}", with which jose verifies`, async () => {
      const tenant = `${azure.issuer.url}/${azure.issuer.tenantId}`;
      const response = await fetch(`${tenant}${version}/.well-known/openid-configuration`);
      const metadata = (await response.json()) as { issuer: string; jwks_uri: string };
      const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
      const identifier = version === "" ? "https://vault.azure.net" : custom.identifier;
      const audience = version === "" ? identifier : custom.appId;
      const { text } = await issue(identifier);

      const verified = await jwtVerify(text, keys, {
        issuer: metadata.issuer,
        audience,
        currentDate: new Date(clock.now()),
      });
      assert.equal(verified.payload.sub, principal.objectId);
      assert.equal(verified.protectedHeader.alg, "RS256");
      await assert.rejects(
        jwtVerify(`${text.slice(0, -8)}AAAAAAAA`, keys, { currentDate: new Date(clock.now()) }),
        { code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" },
      );
    });
  }

  it("does not know other tenants", async () => {
    const response = await fetch(`${azure.issuer.url}/elsewhere/v2.0/.well-known/openid-configuration`);
    assert.equal(response.status, 400);
    assert.match(await response.text(), /AADSTS90002/);
  });

  it("registers resources, with or without a trailing slash", () => {
    assert.equal(azure.issuer.find("api://late"), undefined);
    azure.issuer.register({ identifier: "api://late/" });
    assert.equal(azure.issuer.find("api://late")?.identifier, "api://late/");
    assert.equal(azure.issuer.find("https://vault.azure.net/")?.identifier, "https://vault.azure.net");
  });

  it("accepts its own token from the second it begins until the second it ends", async () => {
    const { text, notBefore, expiresOn } = await issue("https://vault.azure.net");
    const verifyAt = (second: number) =>
      azure.issuer.verify(text, ["https://vault.azure.net"], second * 1000);
    assert.deepEqual(await verifyAt(seconds()), {
      objectId: principal.objectId,
      clientId: principal.clientId,
      issuer: `${azure.issuer.url}/${azure.issuer.tenantId}/`,
    });
    await verifyAt(notBefore);
    await verifyAt(expiresOn - 1);
    await assert.rejects(verifyAt(notBefore - 1), new TokenRefused("notYetValid"));
    await assert.rejects(verifyAt(expiresOn), new TokenRefused("expired"));
  });

  it("refuses a token of somebody else, for somebody else, or no token", async () => {
    const verify = (text: string) => azure.issuer.verify(text, ["https://vault.azure.net"], clock.now());
    const { text } = await issue("https://vault.azure.net");
    const { privateKey } = await generateKeyPair("RS256");
    const forged = await new SignJWT(decodeJwt(text))
      .setProtectedHeader(decodeProtectedHeader(text) as { alg: string })
      .sign(privateKey);
    const unsigned = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${text.split(".")[1]}.`;
    await using other = await startEmbeddedAzure({ clock });
    const foreign = await other.issuer.issue(principal, "https://vault.azure.net", 60, clock.now());

    await assert.rejects(verify((await issue(custom.identifier)).text), new TokenRefused("audience"));
    await assert.rejects(verify(forged), new TokenRefused("signature"));
    await assert.rejects(verify(foreign.value.reveal()), new TokenRefused("signature"));
    await assert.rejects(verify(unsigned), new TokenRefused("malformed"));
    await assert.rejects(verify("not-a-token"), new TokenRefused("malformed"));
  });
});
