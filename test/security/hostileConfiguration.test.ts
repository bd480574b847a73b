import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfiguration } from "../../src/config/parse.ts";

/*
 * What somebody who may change `rotations.json` could try with its values. Each attempt blocks its own rotation, and is
 * told by the path of the value and not by the value.
 */

const entra = { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" };
const clientSecret = { secret: "client-secret" };
const app =
  "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.App/containerApps/app";

interface Case {
  readonly field: string;
  /** A rotation with the value in that field. */
  readonly rotation: (value: string) => object;
  readonly good: string;
}

const output = { secret: "token" };
const oauth = { kind: "oauth-client-credentials", clientId: "client", clientSecret };

const addresses: readonly Case[] = [
  {
    field: "source.issuer",
    rotation: (issuer) => ({ source: { ...oauth, issuer }, outputs: [output] }),
    good: "https://login.example.org/tenant",
  },
  {
    field: "source.tokenEndpoint",
    rotation: (tokenEndpoint) => ({ source: { ...oauth, tokenEndpoint }, outputs: [output] }),
    good: "https://login.example.org/token",
  },
  {
    field: "source.host",
    rotation: (host) => ({
      source: { kind: "databricks-oauth", host, clientId: "client", clientSecret },
      outputs: [output],
    }),
    good: "https://adb-1.azuredatabricks.net",
  },
  {
    field: "probe.url",
    rotation: (url) => ({ source: entra, outputs: [output], probe: { kind: "http", url } }),
    good: "https://api.example.org/me",
  },
  {
    field: "outputs[0].vault",
    rotation: (vault) => ({ source: entra, outputs: [{ ...output, vault }] }),
    good: "https://kv-other.vault.azure.net",
  },
];

const hostileAddresses = [
  "http://login.example.org/",
  "http://169.254.169.254/metadata/identity/oauth2/token",
  "http://localhost.example.org/",
  "http://127.0.0.1.example.org/",
  "http://127.0.0.1@example.org/",
  "http://localhost:80@example.org/",
  "http://localhost%2eexample.org/",
  "http://localhost\\.example.org/",
  "http://localhost./",
  "http://127.1/",
  "http://2130706433/",
  "http://0x7f000001/",
  "http://0177.0.0.1/",
  "http://127.0.0.256/",
  "http://0.0.0.0/",
  "http://[::]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[::ffff:a9fe:a9fe]/",
  "http://\uff11\uff12\uff17.0.0.1/",
  "http://notlocalhost/",
  "HTTP://login.example.org/",
  "https://user:password@example.org/",
  "https://login.example.org\\@evil.example.org/",
  "https://login.example.org/\r\nX-Injected: 1",
  "https://login.example.org/#fragment",
  "https:login.example.org",
  "//login.example.org/",
  "file:///etc/passwd",
  "data:text/plain,token",
  "javascript:alert(1)",
  "ftp://login.example.org/",
  "",
];

const texts: readonly (Case & { readonly hostile: readonly string[] })[] = [
  {
    field: "source.path",
    rotation: (path) => ({ source: { kind: "module", path, lifetime: "1h" }, outputs: [output] }),
    good: "./sources/mine.mjs",
    hostile: [
      "../outside.js",
      "a/../../b.js",
      "/etc/passwd.js",
      "C:\\a.js",
      "a\\b.js",
      "http://e.org/a.js",
      "a.json",
      ".hidden/a.js",
      "data:text/javascript,1.js",
    ],
  },
  {
    field: "source.export",
    rotation: (name) => ({
      source: { kind: "module", path: "a.mjs", export: name, lifetime: "1h" },
      outputs: [output],
    }),
    good: "mint",
    hostile: ["a.b", "a()", "a\nb", ""],
  },
  {
    field: "outputs[0].secret",
    rotation: (secret) => ({ source: entra, outputs: [{ secret }] }),
    good: "token",
    hostile: ["a/b", "../a", "a?b", "a\r\nb", "a b", "a%2fb", "a.b", "", "a".repeat(128), "é"],
  },
  {
    field: "consumers[0].app",
    rotation: (value) => ({
      source: entra,
      outputs: [output],
      consumers: [{ kind: "container-app", app: value, secret: "s", output: "token" }],
    }),
    good: app,
    hostile: [
      `${app}/../../other`,
      `${app}?api-version=1`,
      `${app}/`,
      `https://e.org${app}`,
      `${app}\r\nx`,
      app.replace("/app", "/%2e%2e"),
    ],
  },
  {
    field: "probe.header",
    rotation: (header) => ({
      source: entra,
      outputs: [output],
      probe: { kind: "http", url: "https://api.example.org", header },
    }),
    good: "X-Api-Key",
    hostile: ["X: y\r\nZ", "X\nY", "X:", "", "X Y"],
  },
  {
    field: "probe.scheme",
    rotation: (scheme) => ({
      source: entra,
      outputs: [output],
      probe: { kind: "http", url: "https://api.example.org", scheme },
    }),
    good: "Token",
    hostile: ["Bearer x\r\nY:", "A B", "a\n"],
  },
  {
    field: "kubernetes.objects[0].alias",
    rotation: (alias) => ({
      source: entra,
      outputs: [output],
      kubernetes: { objects: [{ output: "token", alias }] },
    }),
    good: "token.txt",
    hostile: ["../token", "a/b", "..", ".", "a\nb", "a\\b", "..data", "a b"],
  },
  {
    field: "files[0].profile",
    rotation: (profile) => ({
      source: entra,
      outputs: [output],
      files: [{ kind: "oci-session", bundle: "token", profile }],
    }),
    good: "DEFAULT",
    hostile: ["../../x", "a]\n[b", "a/b", "..", "", "a b"],
  },
  {
    field: "files[0].path",
    rotation: (path) => ({
      source: entra,
      outputs: [output],
      files: [{ kind: "file", output: "token", path }],
    }),
    good: "~/token",
    hostile: ["/etc/", "a\0b", "a\nb", "a\u001b[31m", "", "a\\"],
  },
];

function problemsOf(
  name: string,
  rotation: object,
): readonly { code: string; pointer: string; text: string }[] {
  const document = {
    vault: "https://kv-example.vault.azure.net",
    rotations: { good: { source: entra, outputs: [{ secret: "good" }] }, [name]: rotation },
  };
  const { problems } = parseConfiguration(JSON.stringify(document), {
    file: "rotations.json",
    environment: {},
  });
  return problems.map((problem) => ({ ...problem, text: JSON.stringify(problem) }));
}

describe("hostile values are refused where they stand", () => {
  for (const { field, rotation, good, hostile } of [
    ...addresses.map((each) => ({ ...each, hostile: hostileAddresses })),
    ...texts,
  ]) {
    test(field, () => {
      const about = (value: string) =>
        problemsOf("a", rotation(value)).filter(({ pointer }) => pointer.startsWith(`rotations.a.${field}`));
      assert.deepEqual(about(good), [], "the good one");
      for (const value of hostile) {
        const problems = about(value);
        assert.ok(problems.length > 0, `accepted: ${JSON.stringify(value)}`);
        if (value.length > 12) {
          const repeated = problems.filter(({ text }) => text.includes(JSON.stringify(value).slice(1, -1)));
          assert.deepEqual(repeated, [], "the value is not repeated");
        }
      }
    });
  }
});

test("names that every object has are names like any other, or refused", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const text = `{"vault":"https://kv-example.vault.azure.net","rotations":{"good":{"source":${JSON.stringify(entra)},"outputs":[{"secret":"good"}]},"${name}":{"source":{"kind":"${name}"},"outputs":[{"secret":"x","format":"${name}"}],"consumers":[{"kind":"${name}"}],"probe":{"kind":"${name}"},"${name}":{"polluted":true}}}}`;
    const { rotations, problems } = parseConfiguration(text, { file: "rotations.json", environment: {} });
    assert.equal(rotations.find((rotation) => rotation.name === "good")?.state, "ready");
    assert.ok(problems.length > 0, name);
    assert.ok(
      rotations.every((rotation) => rotation.name === "good" || rotation.state === "blocked"),
      name,
    );
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    assert.ok(!("polluted" in Object.prototype));
  }
});
