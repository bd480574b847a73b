import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { duration, secretName, secretReference, vaultOrigin, vaultUrl } from "../../src/config/fields.ts";

const vaults: readonly (readonly [string, string | undefined])[] = [
  ["https://kv-example.vault.azure.net", "https://kv-example.vault.azure.net"],
  ["https://KV-Example.vault.azure.net/", "https://kv-example.vault.azure.net"],
  ["https://kv.vault.usgovcloudapi.net", "https://kv.vault.usgovcloudapi.net"],
  ["https://localhost:8443", "https://localhost:8443"],
  ["https://kv.localhost:8443/", "https://kv.localhost:8443"],
  ["https://127.0.0.1:1", "https://127.0.0.1:1"],
  ["https://[::1]:65535", "https://[::1]:65535"],
  ["http://kv-example.vault.azure.net", undefined],
  ["http://localhost:8443", undefined],
  ["https://kv-example.vault.azure.net/secrets", undefined],
  ["https://kv-example.vault.azure.net//", undefined],
  ["https://kv-example.vault.azure.net?a", undefined],
  ["https://kv-example.vault.azure.net#a", undefined],
  ["https://user@kv-example.vault.azure.net", undefined],
  ["https://user:word@kv-example.vault.azure.net", undefined],
  ["https://kv-example.vault.azure.net:8443", undefined],
  ["https://kv-example", undefined],
  ["https://-kv.vault.azure.net", undefined],
  ["https://localhost:99999", undefined],
  ["https://127.0.0.999", undefined],
  ["https://evil.example\\@kv.vault.azure.net", undefined],
  ["https://kv.vault.azure.net\n", undefined],
  ["kv.vault.azure.net", undefined],
  ["", undefined],
];

for (const [address, origin] of vaults) {
  test(`${JSON.stringify(address)} is ${origin ?? "no vault"}`, () => {
    const result = vaultUrl(z).safeParse(address);
    assert.equal(result.success ? vaultOrigin(result.data) : undefined, origin);
  });
}

const names: readonly (readonly [string, boolean])[] = [
  ["a", true],
  ["Oracle-Token-1", true],
  ["x".repeat(127), true],
  ["x".repeat(128), false],
  ["", false],
  ["a_b", false],
  ["a/b", false],
  ["a.b", false],
  ["é", false],
  ["a\n", false],
];

for (const [name, taken] of names) {
  test(`a secret ${taken ? "may" : "may not"} be named ${JSON.stringify(name.slice(0, 20))} (${name.length})`, () => {
    assert.equal(secretName(z).safeParse(name).success, taken);
  });
}

test("a reference names a secret and nothing else", () => {
  assert.equal(secretReference(z).safeParse({ secret: "a" }).success, true);
  assert.equal(secretReference(z).safeParse({ secret: "a", value: "b" }).success, false);
});

test("messages say what was found and how to mend it", () => {
  for (const schema of [duration, secretName, vaultUrl]) {
    const issues = schema(z).safeParse("§").error?.issues ?? [];
    assert.equal(issues.length, 1);
    assert.match(issues[0]?.message ?? "", /^is not [^;]+; (?:write|use) /);
  }
});
