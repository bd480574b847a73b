import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfiguration } from "../../src/config/parse.ts";
import { type ConfigProblem, formatProblems } from "../../src/config/problems.ts";
import { RotatorError } from "../../src/errors.ts";
import { codePoint, fc } from "../properties.ts";
import { rotation, vault } from "./registries.ts";

/** A key is shown where it looks like a name, because somebody must find it; this one does. */
const nameLike = "hunter2-canary-password";

/** Whatever an operator may paste into the wrong place. None of these words stands in any message. */
const part = "canary01CANARY23";
const canaries = [
  `eyJ${part}.${part}.${part}`,
  `dapi${"0c1a2a3a4r5y6789".replace(/[^0-9a-f]/g, "0").repeat(2)}`,
  "cAn4Ry9sEcR3t7Va1Ue5Xy2Zw8",
  nameLike,
  "canary pass phrase",
  `canary://user:canary@${part}`,
  "CANARY".repeat(40),
];

const canary = fc.constantFrom(...canaries);
const keyCanary = fc.constantFrom(...canaries.filter((text) => text !== nameLike));

/** Names of the configuration, so that the noise comes past the first check. */
const word = fc.constantFrom(
  "vault",
  "rotations",
  "source",
  "outputs",
  "consumers",
  "kind",
  "format",
  "secret",
  "entra",
  "raw",
  "pgpass",
  "template",
  "container-app",
  "scope",
  "expect",
  "audience",
  "kubernetes",
  "files",
  "oci-session",
  "margin",
  "5m",
  "__proto__",
  "constructor",
  vault,
);

const leaf = fc.oneof(canary, word, fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: "medium" }, leaf, fc.array(tie("value"), { maxLength: 3 }), tie("object")),
  object: fc.dictionary(fc.oneof(word, fc.string()), tie("value"), { maxKeys: 5 }),
}));

const rotationLike = fc.record(
  {
    source: fc.oneof(
      value,
      fc.record({ kind: word, scope: canary, refreshToken: value, clientSecret: canary }),
    ),
    outputs: fc.oneof(
      value,
      fc.array(
        fc.dictionary(fc.constantFrom("secret", "format", "host", "user", "vault", "template"), leaf),
        { maxLength: 3 },
      ),
    ),
    consumers: value,
    expect: value,
    probe: value,
    paused: value,
    kubernetes: value,
    files: fc.array(
      fc.dictionary(fc.constantFrom("kind", "output", "path", "token", "bundle", "profile"), leaf),
      { maxLength: 2 },
    ),
    margin: leaf,
    retire: value,
  },
  { requiredKeys: [] },
);

const document = fc.oneof(
  { weight: 1, arbitrary: value },
  {
    weight: 3,
    arbitrary: fc.record({
      vault: fc.oneof(fc.constant(vault), leaf),
      rotations: fc.oneof(
        value,
        fc.dictionary(fc.oneof(word, fc.constantFrom("a", "b"), keyCanary), rotationLike, { maxKeys: 3 }),
      ),
    }),
  },
);

test("no document crashes the check, and no problem repeats a value", () => {
  fc.assert(
    fc.property(document, (content) => {
      const text = JSON.stringify(content);
      assertSilent(text, check(text));
    }),
    { numRuns: 1500 },
  );
});

test("no text crashes the check or is repeated", () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), canary, fc.string(), (before, secret, after) => {
      const text = before + secret + after;
      assertSilent(text, check(text));
    }),
    { numRuns: 500 },
  );
});

test("a secret is not repeated, wherever it is put into a good document", () => {
  const good = {
    vault,
    rotations: {
      a: rotation({
        source: { kind: "entra", scope: "https://example.org/.default" },
        outputs: [{ secret: "token", format: "pgpass", host: "h", user: "u" }],
        margin: "25m",
        expect: { audience: ["a"], version: "2.0" },
        probe: { kind: "http", url: "https://example.org" },
        paused: { until: "2030-01-01T00:00:00Z" },
        files: [{ kind: "file", output: "token", path: "a" }],
      }),
    },
  };
  for (const secret of canaries) {
    for (const text of variants(JSON.stringify(good), secret)) {
      assertSilent(text, check(text));
    }
  }
});

/** The document with the secret in place of each value, and as a key before each key. */
function variants(text: string, secret: string): string[] {
  const written = JSON.stringify(secret);
  const places = [...text.matchAll(/"[^"]*"(:?)/g)].filter(
    ([, colon]) => colon === "" || secret !== nameLike,
  );
  return places.map(({ 0: found, 1: colon, index }) =>
    colon === ":"
      ? `${text.slice(0, index)}${written}:1,${text.slice(index)}`
      : `${text.slice(0, index)}${written}${text.slice(index + found.length)}`,
  );
}

/** All that is said about the text. */
function check(text: string): string {
  try {
    const { problems } = parseConfiguration(text, { file: "rotations.json", environment: {} });
    return said(problems);
  } catch (error) {
    assert.ok(error instanceof RotatorError, String(error));
    return `${error.summary} ${error.stack} ${said((error as { problems?: ConfigProblem[] }).problems ?? [])}`;
  }
}

function said(problems: readonly ConfigProblem[]): string {
  return `${formatProblems(problems, { file: "rotations.json" })} ${JSON.stringify(problems)}`;
}

function assertSilent(text: string, said: string): void {
  for (const secret of canaries) {
    assert.ok(
      !said.includes(secret) && !said.includes(JSON.stringify(secret).slice(1, -1)),
      `${text}\n${said}`,
    );
  }
}
