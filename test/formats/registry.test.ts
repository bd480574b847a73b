import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import * as z from "zod";
import { formats } from "../../src/formats/registry.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken } from "../builders.ts";
import { unsignedJwt } from "../jwt.ts";
import { complaints, type FormatName, formatOf, type Given, pluginOf } from "./layOut.ts";

const privateKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const token = aToken({
  text: unsignedJwt({ oid: "someone" }),
  companions: {
    privateKey: new SecretValue(privateKey.export({ type: "pkcs8", format: "pem" }).toString()),
    refreshToken: new SecretValue("a-refresh-token"),
  },
  attributes: { fingerprint: "aa:bb" },
});

/** The least that each format wants. */
const least: { readonly [Name in FormatName]: Omit<Given, "format"> } = {
  raw: {},
  json: { fields: { password: "token" } },
  pgpass: { host: "db.example.org", user: "app" },
  "postgres-uri": { host: "db.example.org", database: "app", user: "app" },
  "mysql-uri": { host: "db.example.org", database: "app", user: "app" },
  dotenv: { variables: { PGPASSWORD: "{{ token }}" } },
  "private-key": {},
  "oci-config": {
    region: "eu-frankfurt-1",
    tenancy: "ocid1.tenancy.oc1..example",
    keyFile: "/mnt/key",
    securityTokenFile: "~/token",
  },
  "oci-bundle": {},
  "onemount-auth": { account: "somebody@example.com" },
  template: { template: "{{ token }}" },
};

for (const format of Object.keys(formats) as FormatName[]) {
  const given: Given = { format, ...least[format] };

  test(`${format}: equal tokens give equal secrets, with a content type that Key Vault takes`, async () => {
    const one = (await formatOf(given)).render(token);
    const other = (await formatOf(given)).render({ ...token, value: new SecretValue(token.value.reveal()) });
    assert.ok(one.value.equals(other.value));
    assert.match(one.contentType, /^[\x20-\x7e]{1,255}$/);
  });

  test(`${format}: an option that it does not have is refused`, () => {
    assert.deepEqual(complaints(given), []);
    assert.deepEqual(complaints({ ...given, hsot: "db.example.org" }), [""]);
  });

  test(`${format}: its schema is published with its name and a description of every option`, () => {
    const { properties, required } = z.toJSONSchema(pluginOf(format).schema(z), { io: "input" }) as {
      properties: Record<string, { const?: string; description?: string }>;
      required: string[];
    };
    assert.equal(properties.format?.const, format);
    assert.ok(required.includes("format"));
    for (const [name, { description }] of Object.entries(properties)) {
      assert.ok(description, `${name} is not described`);
    }
  });

  // A key of that size is no key.
  if (format !== "private-key") {
    test(`${format}: a secret of more than 25 KB is refused`, async () => {
      const long = "x".repeat(25 * 1024 + 1);
      const tooLarge = {
        ...token,
        value: new SecretValue(long),
        attributes: { fingerprint: long },
        companions: { ...token.companions, refreshToken: new SecretValue(long) },
      };
      const laidOut = await formatOf(given);
      assert.throws(() => laidOut.render(tooLarge), { code: "FormatTooLarge" });
    });
  }
}
