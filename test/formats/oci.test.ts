import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import ini from "ini";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken } from "../builders.ts";
import { fc } from "../properties.ts";
import { complaints, formatOf, layOut } from "./layOut.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pkcs1 = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const token = aToken({
  text: "a.session.token",
  companions: { privateKey: new SecretValue(pkcs1) },
  attributes: { fingerprint: "12:34:ab" },
});
const profile = {
  format: "oci-config",
  region: "eu-frankfurt-1",
  tenancy: "ocid1.tenancy.oc1..aaaaexample",
  keyFile: "/mnt/secrets/oci-session-key",
  securityTokenFile: "~/.oci/sessions/DEFAULT/token",
} as const;

test("private-key is PKCS#8, whatever the source gave", async () => {
  const text = await layOut({ format: "private-key" }, token);
  assert.equal(text, pkcs8);
  assert.ok(createPublicKey(createPrivateKey(text)).equals(publicKey));
});

test("oci-bundle carries what belongs together in one line", async () => {
  const text = await layOut({ format: "oci-bundle" }, token);
  assert.doesNotMatch(text, /\n/);
  assert.deepEqual(JSON.parse(text), {
    token: "a.session.token",
    privateKey: pkcs8,
    fingerprint: "12:34:ab",
  });
});

test("a key that is none, or that is locked, is refused without a word of it", async () => {
  const locked = privateKey
    .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "canary-41" })
    .toString();
  for (const key of [
    "canary-41",
    pkcs8.slice(0, 200),
    locked,
    publicKey.export({ type: "spki", format: "pem" }),
  ]) {
    for (const name of ["private-key", "oci-bundle"] as const) {
      const format = await formatOf({ format: name });
      const broken = { ...token, companions: { privateKey: new SecretValue(String(key)) } };
      assert.throws(
        () => format.render(broken),
        (error: Error & { code: string }) =>
          error.code === "FormatKeyInvalid" &&
          !JSON.stringify([error, error.cause, error.stack]).includes("canary-41"),
      );
    }
  }
});

test("a source that gives no key or no fingerprint is told by name", async () => {
  const opaque = aToken();
  for (const [given, field] of [
    [{ format: "private-key" }, "companions.privateKey"],
    [{ format: "oci-bundle" }, "companions.privateKey"],
    [profile, "attributes.fingerprint"],
  ] as const) {
    const format = await formatOf(given);
    assert.throws(() => format.render(opaque), { code: "FormatFieldMissing", facts: { field } });
  }
});

test("an INI parser reads from oci-config what was put into it", async () => {
  // The parser makes objects without a prototype.
  assert.deepEqual(structuredClone(ini.parse(await layOut(profile, token))), {
    DEFAULT: {
      fingerprint: "12:34:ab",
      key_file: "/mnt/secrets/oci-session-key",
      tenancy: "ocid1.tenancy.oc1..aaaaexample",
      region: "eu-frankfurt-1",
      security_token_file: "~/.oci/sessions/DEFAULT/token",
    },
  });
  const path = fc
    .string({ minLength: 1, maxLength: 30, unit: fc.constantFrom(..."ab/ .-_[]%$:é") })
    .map((rest) => `/${rest}x`);
  await fc.assert(
    fc.asyncProperty(path, path, async (keyFile, securityTokenFile) => {
      const read = ini.parse(
        await layOut({ ...profile, profile: "other", keyFile, securityTokenFile }, token),
      );
      assert.equal(read.other.key_file, keyFile);
      assert.equal(read.other.security_token_file, securityTokenFile);
    }),
  );
});

test("what readers of the file take differently is refused", () => {
  for (const keyFile of ["relative", "/a;b", "/a #b", "/a=b", '"/a"', "/a ", "C:\\a", "/a\nuser=x"]) {
    assert.deepEqual(complaints({ ...profile, keyFile }), ["keyFile"], keyFile);
  }
  assert.deepEqual(complaints({ ...profile, profile: "a]\nuser=x" }), ["profile"]);
  assert.deepEqual(complaints({ ...profile, tenancy: "example" }), ["tenancy"]);
});

test("a fingerprint cannot add a line", async () => {
  const format = await formatOf(profile);
  assert.throws(() => format.render({ ...token, attributes: { fingerprint: "12\nuser=x" } }), {
    code: "FormatMultiline",
  });
});
