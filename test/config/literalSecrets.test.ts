import assert from "node:assert/strict";
import { test } from "node:test";
import { findLiteralSecrets, looksLikeSecret } from "../../src/config/literalSecrets.ts";

/** Made of pieces, so that nothing in this file looks like a secret to a scanner. */
const hex32 = "0123456789abcdef".repeat(2);
const random = "aB3xK9mQ2zR7tY5wL8pD4";
const part = "abcdefgh01234567";

const secrets: readonly (readonly [string, string, string])[] = [
  ["a JSON Web Token", `eyJ${part}.${part}.${part}`, "clientId"],
  ["a JSON Web Token without signature", `eyJ${part}.${part}.`, "clientId"],
  ["an encrypted JSON Web Token", `eyJ${part}..${part}.${part}.${part}`, "clientId"],
  ["a JSON Web Token within a text", `Bearer eyJ${part}.${part}.${part}`, "template"],
  ["base64 of a token set", `eyJ${part.repeat(3)}==`, "refreshToken"],
  ["a private key", ["-----BEGIN", "RSA", "PRIVATE", "KEY-----"].join(" "), "template"],
  ["a Databricks token", `dapi${hex32}`, "host"],
  ["a Databricks secret", `dose${hex32}`, "clientSecret"],
  ["a storage key", `AccountKey=${part.repeat(3)}==`, "value"],
  ["a key for signing", ["-----BEGIN", "PGP", "PRIVATE", "KEY", "BLOCK-----"].join(" "), "template"],
  ["a connection string of .NET", "Server=db.example.org;User ID=app;Password=hunter2!;", "template"],
  ["a connection string of ODBC", "Driver=x;Uid=app;Pwd=hunter2;", "value"],
  ["a connection string of libpq", "host=db user=app password='hunter2' dbname=app", "template"],
  ["a variable with a password", "PGPASSWORD=hunter2", "template"],
  ["a Microsoft refresh token in a template", `{"refresh_token":"0.AX${part.repeat(5)}"}`, "template"],
  ["a client secret of an OCI domain", `idcscs-${part.slice(8)}-0123-4567-89ab-0123456789ab`, "clientSecret"],
  ["a shared access signature", `https://example.org/c?sv=1&sig=${part.repeat(2)}%3D`, "url"],
  ["an Entra client secret", `abc8Q~${"x".repeat(34)}`, "description"],
  ["a Microsoft refresh token", `M.C5_${part.repeat(5)}`, "refreshToken"],
  ["an Authorization header", `Basic ${part.repeat(2)}`, "Authorization"],
  ["a URL with a password", "postgresql://app:hunter2@db.example.org/app", "url"],
  ["random text as a password", random, "password"],
  ["random text as the name of a secret", random, "secret"],
  ["hexadecimal digits as a key", hex32, "apiKey"],
];

for (const [name, text, field] of secrets) {
  test(`${name} in ${field} looks like a secret`, () => {
    assert.notEqual(looksLikeSecret(text, field), undefined);
  });
}

const innocent: readonly (readonly [string, string, string])[] = [
  ["the name of a secret", "oracle-entraid-token", "secret"],
  ["a long name in camel case", "OracleEntraIdTokenOfProduction2West3", "secret"],
  ["a name made of a hash", `cache-${hex32}`, "secret"],
  ["a GUID", "7d22ece1-dd60-4279-a911-4b7b95934f2e", "clientId"],
  ["a GUID as a key", "7d22ece1-dd60-4279-a911-4b7b95934f2e", "key"],
  ["a scope", "https://example.org/7d22ece1-dd60-4279-a911-4b7b95934f2e/.default", "scope"],
  ["a resource id", "/subscriptions/0/resourceGroups/rg/providers/Microsoft.App/containerApps/a", "app"],
  ["a template with a password", "postgresql://app:{{ token | urlencode }}@db.example.org/app", "template"],
  ["a template of libpq", "host=db user=app password={{ token }} sslmode=require", "template"],
  ["a template with a quoted password", "password='{{ token | pgpass }}'", "template"],
  ["a variable of the shell as a password", "PGPASSWORD=$TOKEN psql; PGPASSWORD=%TOKEN%", "template"],
  ["a password that is empty", "user=app;password=;host=db", "template"],
  ["words about a password", "the password = token, see the docs", "description"],
  ["a template with a header", "Authorization: Bearer {{ token }} and more text of it", "template"],
  ["the name of a field of a token", "token", "password"],
  ["a file name", "/mnt/secrets/oci-session-key", "key"],
  ["a URL with a port and an at sign in its path", "https://example.org:8443/@scope", "url"],
];

for (const [name, text, field] of innocent) {
  test(`${name} in ${field} does not look like a secret`, () => {
    assert.equal(looksLikeSecret(text, field), undefined);
  });
}

test("every text and key of a document is looked at, and elements by the name of their list", () => {
  const jwt = `eyJ${part}.${part}.${part}`;
  const found: unknown[] = [];
  findLiteralSecrets({ a: [{ b: jwt }], tokens: "x", [jwt]: 1, password: ["x", random] }, (path, what) =>
    found.push([path, what]),
  );
  assert.deepEqual(found, [
    [["a", 0, "b"], "a JSON Web Token"],
    [[jwt], "a JSON Web Token"],
    [["password", 1], "a password or a key"],
  ]);
});

test("long texts that are made to be slow are looked at quickly", () => {
  for (const piece of [
    "eyJ",
    "-eyJ",
    "eyJaaaaaaaa.",
    "?sig=",
    "://a:",
    "8Q~",
    "Basic ",
    "AccountKey=",
    "password=",
    "password= ",
    " 0.A",
  ]) {
    const text = piece.repeat(100_000 / piece.length);
    const before = process.cpuUsage().user;
    looksLikeSecret(text, "password");
    assert.ok(process.cpuUsage().user - before < 2_000_000, piece);
  }
});
