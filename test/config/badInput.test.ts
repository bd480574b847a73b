import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfiguration } from "../../src/config/parse.ts";
import { RotatorError } from "../../src/errors.ts";
import { registries, rotation, text, vault } from "./registries.ts";

/*
 * What is wrong, and the code and pointer of every problem that is told. With the product's own plug-ins where the third
 * column says so.
 */

const part = "abcdefgh01234567";
const jwt = `eyJ${part}.${part}.${part}`;

type Told = readonly (readonly [code: string, pointer: string])[];

/** Everything wrong with these overrides of a good rotation. */
const inRotation: readonly (readonly [string, object, Told])[] = [
  ["nothing", {}, []],
  ["no source", { source: undefined }, [["Missing", "source"]]],
  ["no outputs", { outputs: undefined }, [["Missing", "outputs"]]],
  ["an empty list of outputs", { outputs: [] }, [["InvalidValue", "outputs"]]],
  ["an empty list of sources", { source: [] }, [["InvalidValue", "source"]]],
  ["a source of the wrong type", { source: "plain" }, [["WrongType", "source"]]],
  ["a source without a kind", { source: {} }, [["Missing", "source.kind"]]],
  ["an unknown kind", { source: { kind: "plane" } }, [["UnknownKind", "source.kind"]]],
  [
    "an unknown kind in a list",
    { source: [{ kind: "plain" }, { kind: "x" }] },
    [["UnknownKind", "source[1].kind"]],
  ],
  ["an unknown key", { outputz: [] }, [["UnknownKey", "outputz"]]],
  ["an unknown key of a source", { source: { kind: "plain", scop: "x" } }, [["UnknownKey", "source.scop"]]],
  ["an option of another type", { source: { kind: "plain", scope: 1 } }, [["WrongType", "source.scope"]]],
  ["an output without a name", { outputs: [{}] }, [["Missing", "outputs[0].secret"]]],
  [
    "a name over 127 characters",
    { outputs: [{ secret: "x".repeat(128) }] },
    [["InvalidValue", "outputs[0].secret"]],
  ],
  [
    "a name with an underscore",
    { outputs: [{ secret: "a" }, { secret: "a_b" }] },
    [["InvalidValue", "outputs[1].secret"]],
  ],
  [
    "an unknown format, and the rest of the output",
    { outputs: [{ secret: "a_b", vault: "x", format: "lin", adopt: "yes" }] },
    [
      ["UnknownFormat", "outputs[0].format"],
      ["InvalidValue", "outputs[0].secret"],
      ["InvalidValue", "outputs[0].vault"],
      ["WrongType", "outputs[0].adopt"],
    ],
  ],
  [
    "an option that the format does not have",
    { outputs: [{ secret: "a", user: "b" }] },
    [["UnknownKey", "outputs[0].user"]],
  ],
  [
    "an option that the format needs",
    { outputs: [{ secret: "a", format: "line" }] },
    [["Missing", "outputs[0].user"]],
  ],
  [
    "what the format itself complains about",
    { outputs: [{ secret: "a", format: "line", user: "*" }] },
    [["InvalidValue", "outputs[0].user"]],
  ],
  [
    "a vault with http",
    { outputs: [{ secret: "a", vault: "http://kv.vault.azure.net" }] },
    [["InvalidValue", "outputs[0].vault"]],
  ],
  [
    "a vault with a path",
    { outputs: [{ secret: "a", vault: `${vault}/secrets/a` }] },
    [["InvalidValue", "outputs[0].vault"]],
  ],
  ["a bad duration", { margin: "25 minutes" }, [["InvalidValue", "margin"]]],
  ["a duration of nothing", { propagation: "0s" }, [["InvalidValue", "propagation"]]],
  ["a duration as a number", { lifetime: 3600 }, [["WrongType", "lifetime"]]],
  [
    "an unsafe margin beside an output with a fault",
    { margin: "21m59s", outputs: [{ secret: "a", format: "x" }] },
    [
      ["UnknownFormat", "outputs[0].format"],
      ["UnsafeMargin", "margin"],
    ],
  ],
  ["an unsafe margin", { margin: "21m59s" }, [["UnsafeMargin", "margin"]]],
  ["a lifetime that is too short", { lifetime: "32m" }, [["UnsafeBudget", ""]]],
  [
    "a consumer that takes too long",
    { consumers: [{ kind: "app", app: "a", output: "token", secret: "s", takes: "45m" }] },
    [
      ["UnsafeBudget", ""],
      ["UnsafeBudget", "consumers[0]"],
    ],
  ],
  [
    "a consumer of an output that is not there",
    { consumers: [{ kind: "app", app: "a", output: "tokens", secret: "s" }] },
    [["UnknownOutput", "consumers[0].output"]],
  ],
  [
    "a consumer of a name that stands in two vaults",
    {
      outputs: [{ secret: "token" }, { secret: "token", vault: "https://kv-two.vault.azure.net" }],
      consumers: [{ kind: "app", app: "a", output: "token", secret: "s" }],
    },
    [["AmbiguousOutput", "consumers[0].output"]],
  ],
  ["an unknown probe", { probe: { kind: "pong" } }, [["UnknownKind", "probe.kind"]]],
  ["a number that is too small", { probe: { kind: "ping", times: 0 } }, [["InvalidValue", "probe.times"]]],
  [
    "expectations that are none",
    { expect: { audience: [], version: "3.0", roles: "a", oid: "b" } },
    [
      ["InvalidValue", "expect.audience"],
      ["WrongType", "expect.roles"],
      ["InvalidValue", "expect.version"],
      ["UnknownKey", "expect.oid"],
    ],
  ],
  ["a pause of another type", { paused: "yes" }, [["WrongType", "paused"]]],
  ["a pause until no date", { paused: { until: "tomorrow" } }, [["InvalidValue", "paused.until"]]],
  [
    "a pause until a date without a zone",
    { paused: { until: "2030-01-01T00:00:00" } },
    [["InvalidValue", "paused.until"]],
  ],
  ["a clean-up without a grace", { retire: {} }, [["Missing", "retire.grace"]]],
  [
    "a clean-up of the version before",
    { retire: { grace: "1d", keep: 1 } },
    [["InvalidValue", "retire.keep"]],
  ],
  [
    "pods with names that Kubernetes does not take",
    { kubernetes: { namespace: "My_Space", clientId: "x", objects: [{ output: "token", alias: "../x" }] } },
    [
      ["InvalidValue", "kubernetes.namespace"],
      ["InvalidValue", "kubernetes.clientId"],
      ["InvalidValue", "kubernetes.objects[0].alias"],
    ],
  ],
  [
    "pods that read an output that is not there",
    {
      kubernetes: {
        objects: [{ output: "tocken" }],
        secretObjects: [{ name: "a", data: [{ output: "x", key: "y" }] }],
      },
    },
    [
      ["UnknownOutput", "kubernetes.objects[0].output"],
      ["UnknownOutput", "kubernetes.secretObjects[0].data[0].output"],
    ],
  ],
  [
    "pods whose mount would leave its place",
    {
      outputs: [{ secret: "token" }, { secret: "other" }],
      kubernetes: {
        mountPath: "/mnt/../etc",
        objects: [{ output: "token" }, { output: "other", alias: "a..b" }],
      },
    },
    [
      ["InvalidValue", "kubernetes.mountPath"],
      ["InvalidValue", "kubernetes.objects[1].alias"],
    ],
  ],
  [
    "pods with two objects in one file, and a Kubernetes secret of what is not mounted",
    {
      outputs: [{ secret: "token" }, { secret: "other" }, { secret: "third" }],
      kubernetes: {
        objects: [{ output: "token" }, { output: "other", alias: "token" }],
        secretObjects: [{ name: "a", data: [{ output: "third", key: "k" }] }],
      },
    },
    [
      ["InvalidValue", "kubernetes.objects[1]"],
      ["InvalidValue", "kubernetes.secretObjects[0].data[0].output"],
    ],
  ],
  [
    "files of an unknown kind, of no output, and with half a session",
    {
      files: [
        { kind: "dotent", output: "token", path: "a" },
        { kind: "file", output: "other", path: "b/", mode: "600" },
        { kind: "oci-session", token: "token", profile: "DEFAULT" },
      ],
    },
    [
      ["UnknownKind", "files[0].kind"],
      ["InvalidValue", "files[1].path"],
      ["InvalidValue", "files[1].mode"],
      ["InvalidValue", "files[2]"],
    ],
  ],
  [
    "files that would leave their place",
    {
      files: [
        { kind: "oci-session", bundle: "token", profile: "../../x" },
        { kind: "file", output: "token", path: "~/a\nb" },
        { kind: "pgpass", output: "token", path: "a/" },
      ],
    },
    [
      ["InvalidValue", "files[0].profile"],
      ["InvalidValue", "files[1].path"],
      ["InvalidValue", "files[2].path"],
    ],
  ],
  ["a literal token", { source: { kind: "plain", scope: jwt } }, [["LiteralSecret", "source.scope"]]],
  [
    "a literal token where a reference belongs",
    { source: { kind: "keeper", refreshToken: jwt } },
    [["LiteralSecret", "source.refreshToken"]],
  ],
  [
    "any text where a reference belongs",
    { source: { kind: "keeper", refreshToken: "hunter2" } },
    [["WrongType", "source.refreshToken"]],
  ],
  ["a literal token as a key", { [jwt]: 1 }, [["LiteralSecret", '["(53 characters)"]']]],
  ["a key that reaches into objects", { ["__proto__"]: { margin: "1h" } }, [["ForbiddenKey", "__proto__"]]],
  [
    "a key that reaches into objects, deep down",
    { outputs: [{ secret: "a", format: "line", user: "b", parameters: { constructor: "c" } }] },
    [["ForbiddenKey", "outputs[0].parameters.constructor"]],
  ],
];

for (const [name, overrides, told] of inRotation) {
  test(`in a rotation: ${name}`, () => {
    const { problems } = parseConfiguration(text({ a: rotation(overrides) }), {
      file: "rotations.json",
      environment: {},
      registries,
    });
    const expected = told.map(([code, pointer]) => [
      code,
      pointer.startsWith("[") ? `rotations.a${pointer}` : ["rotations.a", pointer].filter(Boolean).join("."),
    ]);
    assert.deepEqual(problems.map(({ code, pointer }) => [code, pointer]).sort(), expected.sort());
  });
}

/** With the product's own plug-ins. */
const inProduct: readonly (readonly [string, object, Told])[] = [
  [
    "a scope without /.default",
    { source: { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net" } },
    [["InvalidValue", "source.scope"]],
  ],
  ["a kind with a typing error", { source: { kind: "entar" } }, [["UnknownKind", "source.kind"]]],
  [
    "a host with a scheme",
    {
      source: { kind: "entra", scope: "https://example.org/.default" },
      outputs: [{ secret: "a", format: "pgpass", host: "https://db.example.org", user: "u" }],
    },
    [["InvalidValue", "outputs[0].host"]],
  ],
  [
    "a consumer whose app is no resource id",
    {
      source: { kind: "entra", scope: "https://example.org/.default" },
      consumers: [{ kind: "container-app", app: "postgres-mcp", output: "token", secret: "database-uri" }],
    },
    [["InvalidValue", "consumers[0].app"]],
  ],
];

for (const [name, overrides, told] of inProduct) {
  test(`in the product: ${name}`, () => {
    const { problems } = parseConfiguration(text({ a: rotation(overrides) }), { file: "a", environment: {} });
    assert.deepEqual(
      problems.map(({ code, pointer }) => [code, pointer]),
      told.map(([code, pointer]) => [code, `rotations.a.${pointer}`]),
    );
  });
}

const one = { a: rotation() };

const topLevel: readonly (readonly [string, unknown, Told])[] = [
  ["null", null, [["WrongType", ""]]],
  ["a list", [], [["WrongType", ""]]],
  ["text", "rotations", [["WrongType", ""]]],
  ["no rotations", { vault }, [["Missing", "rotations"]]],
  ["an empty object of rotations", { vault, rotations: {} }, [["InvalidValue", "rotations"]]],
  ["a list of rotations", { vault, rotations: [] }, [["WrongType", "rotations"]]],
  ["no vault", { rotations: one }, [["Missing", "vault"]]],
  ["a vault with http", { vault: "http://kv.vault.azure.net", rotations: one }, [["InvalidValue", "vault"]]],
  ["a vault with a path", { vault: `${vault}/secrets`, rotations: one }, [["InvalidValue", "vault"]]],
  ["an unknown key", { vault, rotation: 1, rotations: one }, [["UnknownKey", "rotation"]]],
  ["a literal token", { vault, $schema: jwt, rotations: one }, [["LiteralSecret", "$schema"]]],
  [
    "several, and one inside a rotation",
    { vault: 1, tick: "x", retryBudget: "0s", rotations: { a: rotation({ margin: "1" }) } },
    [
      ["WrongType", "vault"],
      ["InvalidValue", "tick"],
      ["InvalidValue", "retryBudget"],
      ["InvalidValue", "rotations.a.margin"],
    ],
  ],
];

for (const [name, document, told] of topLevel) {
  test(`a wrong top level: ${name}`, () => {
    const parse = () =>
      parseConfiguration(JSON.stringify(document), { file: "rotations.json", environment: {}, registries });
    assert.throws(parse, (error: unknown) => {
      assert.ok(error instanceof RotatorError && "problems" in error);
      assert.equal(error.code, "ConfigurationInvalid");
      const problems = error.problems as { code: string; pointer: string }[];
      assert.deepEqual(
        problems.map(({ code, pointer }) => [code, pointer]),
        told,
      );
      return true;
    });
  });
}

const notJson: readonly (readonly [string, string, number, number])[] = [
  ["an empty file", "", 1, 1],
  ["only a byte order mark", "\uFEFF", 1, 1],
  ["YAML", "vault: x\n", 1, 1],
  ["a comment", '{\r\n  "vault": "x", // ours\r\n  "rotations": {}\r\n}', 2, 17],
  ["a comma too many", '\uFEFF{ "vault": "x", }', 1, 17],
  ["half a file", '{\n  "vault": "x",\n  "rot', 3, 3],
];

for (const [name, content, line, column] of notJson) {
  test(`not JSON: ${name}`, () => {
    assert.throws(
      () => parseConfiguration(content, { file: "rotations.json", environment: {}, registries }),
      (error: unknown) => {
        assert.ok(error instanceof RotatorError);
        assert.equal(error.code, "ConfigurationNotJson");
        assert.deepEqual(
          [error.facts.file, error.facts.line, error.facts.column],
          ["rotations.json", line, column],
        );
        return true;
      },
    );
  });
}
