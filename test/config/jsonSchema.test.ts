import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import * as z from "zod";
import { configurationJsonSchema } from "../../src/config/jsonSchema.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import { registries as builtIn } from "../../src/config/registries.ts";
import { registries, rotation, vault } from "./registries.ts";

type Schema = Record<string, unknown>;

function validator(schema: Schema) {
  const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
  addFormats.default(ajv);
  return ajv.compile(schema);
}

test("the published schema is what the schemas say (node scripts/schema.ts)", async () => {
  const published = await readFile(new URL("../../rotations.schema.json", import.meta.url), "utf8");
  assert.deepEqual(JSON.parse(published), JSON.parse(JSON.stringify(configurationJsonSchema())));
});

test("the sample is good by the published schema and by the configuration itself", async () => {
  const sample = await readFile(new URL("../../rotations.json", import.meta.url), "utf8");
  const valid = validator(configurationJsonSchema());
  assert.ok(valid(JSON.parse(sample)), JSON.stringify(valid.errors, undefined, 2));
  const environment = { KEY_VAULT_URL: vault };
  assert.deepEqual(parseConfiguration(sample, { file: "rotations.json", environment }).problems, []);
});

const rotations: readonly (readonly [string, unknown, boolean])[] = [
  ["a small one", rotation(), true],
  [
    "a list of sources",
    rotation({ source: [{ kind: "plain" }, { kind: "keeper", refreshToken: { secret: "k" } }] }),
    true,
  ],
  ["a format with options", rotation({ outputs: [{ secret: "a", format: "line", user: "u" }] }), true],
  ["the default format by name", rotation({ outputs: [{ secret: "a", format: "raw", adopt: true }] }), true],
  ["a vault of its own", rotation({ outputs: [{ secret: "a", vault: "https://localhost:8443/" }] }), true],
  ["durations", rotation({ margin: "22m", lifetime: "1h30m", propagation: "90s" }), true],
  ["a pause", rotation({ paused: { until: "2030-01-01T00:00:00Z" } }), true],
  ["expectations", rotation({ expect: { audience: ["a", "b"], version: "1.0" } }), true],
  ["a probe", rotation({ probe: { kind: "ping" } }), true],
  ["a clean-up", rotation({ retire: { grace: "1d" } }), true],
  [
    "pods",
    rotation({ kubernetes: { objects: [{ output: "token", alias: "token", filePermission: "0600" }] } }),
    true,
  ],
  [
    "files",
    rotation({
      files: [
        { kind: "file", output: "token", path: "~/token" },
        { kind: "pgpass", output: "token" },
      ],
    }),
    true,
  ],
  ["no source", rotation({ source: undefined }), false],
  ["an unknown kind", rotation({ source: { kind: "other" } }), false],
  ["an unknown option", rotation({ source: { kind: "plain", other: 1 } }), false],
  ["an empty list of sources", rotation({ source: [] }), false],
  ["an unknown format", rotation({ outputs: [{ secret: "a", format: "other" }] }), false],
  ["an option of another format", rotation({ outputs: [{ secret: "a", user: "u" }] }), false],
  ["an option that is missing", rotation({ outputs: [{ secret: "a", format: "line" }] }), false],
  ["no outputs", rotation({ outputs: [] }), false],
  ["a long name", rotation({ outputs: [{ secret: "x".repeat(128) }] }), false],
  ["a vault with a path", rotation({ outputs: [{ secret: "a", vault: `${vault}/x` }] }), false],
  ["a bad duration", rotation({ margin: "5 m" }), false],
  ["a number as a duration", rotation({ margin: 5 }), false],
  ["a date without a zone", rotation({ paused: { until: "2030-01-01" } }), false],
  ["a keep that is too small", rotation({ retire: { grace: "1d", keep: 1 } }), false],
  [
    "a mode that is none",
    rotation({ files: [{ kind: "file", output: "token", path: "a", mode: "rw" }] }),
    false,
  ],
  ["an unknown key", rotation({ other: 1 }), false],
];

const valid = validator(configurationJsonSchema(registries));

for (const [name, one, good] of rotations) {
  test(`editor and validate agree on ${name}: ${good ? "good" : "bad"}`, () => {
    const text = JSON.stringify({ vault, rotations: { a: one } });
    assert.equal(valid(JSON.parse(text)), good, JSON.stringify(valid.errors));
    const { problems } = parseConfiguration(text, { file: "a", environment: {}, registries });
    assert.equal(problems.length === 0, good, JSON.stringify(problems));
  });
}

const documents: readonly (readonly [string, object, boolean])[] = [
  [
    "the top level",
    {
      $schema: "./rotations.schema.json",
      vault,
      tick: "1m",
      retryBudget: "1m",
      rotations: { a: rotation() },
    },
    true,
  ],
  ["an unknown key at the top", { vault, rotations: { a: rotation() }, other: 1 }, false],
  ["a name with capitals", { vault, rotations: { A: rotation() } }, false],
  ["no rotation", { vault, rotations: {} }, false],
  ["no rotations", { vault }, false],
  ["a vault with http", { vault: "http://kv.vault.azure.net", rotations: { a: rotation() } }, false],
];

for (const [name, document, good] of documents) {
  test(`editor and validate agree on ${name}: ${good ? "good" : "bad"}`, () => {
    assert.equal(valid(document), good, JSON.stringify(valid.errors));
    const validate = () => {
      const { problems } = parseConfiguration(JSON.stringify(document), {
        file: "a",
        environment: {},
        registries,
      });
      assert.deepEqual(problems, []);
    };
    if (good) {
      validate();
    } else {
      assert.throws(validate);
    }
  });
}

test("every field has a description, and every object refuses what it does not know", () => {
  const missing: string[] = [];
  visit(configurationJsonSchema(), "", (schema, at) => {
    const properties = (schema.properties ?? {}) as Record<string, Schema>;
    for (const [name, property] of Object.entries(properties)) {
      // What a kind is, is said by the page of its source.
      if (property.description === undefined && property.const === undefined) {
        missing.push(`${at}.${name}: no description`);
      }
    }
    if (schema.type === "object" && schema.additionalProperties === undefined) {
      missing.push(`${at}: open`);
    }
  });
  assert.deepEqual(missing, []);
});

test("every plug-in stands under the name that its schema gives it", () => {
  const names = (registry: object, field: string) =>
    Object.entries(registry).map(([name, { schema }]) => [
      name,
      schema(z)
        .safeParse({ [field]: name })
        .error?.issues.some(({ path }: { path: string[] }) => path[0] === field) ?? false,
    ]);
  const all = [
    ...names(builtIn.sources, "kind"),
    ...names(builtIn.formats, "format"),
    ...names(builtIn.consumers, "kind"),
    ...names(builtIn.probes, "kind"),
  ];
  assert.deepEqual(
    all.filter(([, wrong]) => wrong),
    [],
  );
});

function visit(schema: unknown, at: string, look: (schema: Schema, at: string) => void): void {
  if (typeof schema !== "object" || schema === null) {
    return;
  }
  look(schema as Schema, at);
  for (const [key, inner] of Object.entries(schema)) {
    visit(inner, `${at}/${key}`, look);
  }
}
