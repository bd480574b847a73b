import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import type { Configuration, ReadyRotation } from "../../src/config/configuration.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import { parse, registries, rotation, text, vault } from "./registries.ts";

const otherVault = "https://kv-other.vault.azure.net";

function ready(configuration: Configuration, name: string): ReadyRotation {
  const found = configuration.rotations.find((one) => one.name === name);
  assert.equal(found?.state, "ready", JSON.stringify(found?.faults));
  return found;
}

function problems(configuration: Configuration): [string, string, string][] {
  return configuration.problems.map(({ code, pointer, message }) => [code, pointer, message]);
}

test("defaults are filled in and durations are in milliseconds", () => {
  const configuration = parse({ a: rotation({ margin: "25m" }) });
  const { rotations, hash, ...top } = configuration;
  assert.deepEqual(top, {
    file: resolve("rotations.json"),
    directory: resolve("."),
    vault,
    tickMs: 300_000,
    retryBudgetMs: 120_000,
    problems: [],
  });
  assert.match(hash, /^[0-9a-f]{12}$/);
  const { sources, outputs, budget, ...rest } = ready(configuration, "a");
  assert.deepEqual(
    sources.map(({ key, ...source }) => ({ ...source, key: key.length })),
    [
      {
        kind: "plain",
        options: { kind: "plain", lives: "1h" },
        lifetimeMs: 3_600_000,
        refusedBeforeExpiryMs: 0,
        key: 16,
      },
    ],
  );
  assert.deepEqual(
    outputs.map(({ spec, ...output }) => ({ ...output, spec: spec.length })),
    [{ secret: "token", vault, adopt: false, options: { format: "raw" }, spec: 16 }],
  );
  assert.equal(budget.arithmetic, "lifetime 1h − margin 25m − tick 5m − propagation 5m = 25m");
  assert.deepEqual(rest, {
    state: "ready",
    name: "a",
    faults: [],
    consumers: [],
    marginMs: 1_500_000,
    floorMs: 1_320_000,
    lifetimeMs: 3_600_000,
    files: [],
  });
});

test("everything that a rotation can have is resolved", () => {
  const configuration = parse(
    {
      full: {
        source: [
          { kind: "keeper", refreshToken: { secret: "kept" } },
          { kind: "plain", refusedFor: "30s" },
        ],
        outputs: [
          {
            secret: "one",
            format: "line",
            user: "u",
            vault: `${otherVault.toUpperCase().replace("HTTPS", "https")}/`,
          },
          { secret: "two", adopt: true },
        ],
        consumers: [{ kind: "app", app: "a", output: "one", secret: "s", takes: "10m" }],
        lifetime: "2h",
        expect: { issuer: "https://issuer.example", audience: "me", roles: ["r"], version: "2.0" },
        probe: { kind: "ping" },
        paused: { until: "2030-01-01T02:00:00+02:00" },
        kubernetes: { namespace: "apps", pollInterval: "1m" },
        files: [{ kind: "pgpass", output: "one" }],
        retire: { grace: "1d" },
      },
    },
    { tick: "1m", retryBudget: "30s" },
  );
  const rotation = ready(configuration, "full");
  assert.deepEqual(
    rotation.sources.map(({ options, lifetimeMs, refusedBeforeExpiryMs }) => [
      options,
      lifetimeMs,
      refusedBeforeExpiryMs,
    ]),
    [
      [{ kind: "keeper", refreshToken: { secret: "kept", vault } }, 7_200_000, 0],
      [{ kind: "plain", lives: "1h", refusedFor: "30s" }, 7_200_000, 30_000],
    ],
  );
  assert.deepEqual(
    rotation.outputs.map(({ spec: _, ...output }) => output),
    [
      {
        secret: "one",
        vault: otherVault,
        adopt: false,
        options: { format: "line", user: "u", parameters: {} },
      },
      { secret: "two", vault, adopt: true, options: { format: "raw" } },
    ],
  );
  assert.deepEqual(rotation.consumers, [{ kind: "app", app: "a", output: "one", secret: "s", takes: "10m" }]);
  assert.deepEqual(rotation.expect, {
    issuer: "https://issuer.example",
    audience: ["me"],
    roles: ["r"],
    version: "2.0",
  });
  assert.deepEqual(rotation.probe, { kind: "ping", times: 1 });
  assert.deepEqual(rotation.paused, { until: Date.UTC(2030, 0, 1) });
  assert.deepEqual(rotation.kubernetes, {
    namespace: "apps",
    pollIntervalMs: 60_000,
    objects: [{ output: "one" }, { output: "two" }],
    secretObjects: [],
  });
  assert.deepEqual(rotation.files, [{ kind: "pgpass", output: "one", path: "~/.pgpass" }]);
  assert.deepEqual(rotation.retire, { graceMs: 86_400_000, keep: 2 });
  // The slowest reader, three ticks, the retries, and what the source refuses before the expiry.
  assert.equal(rotation.floorMs, 600_000 + 3 * 60_000 + 30_000 + 30_000);
  assert.deepEqual(
    rotation.budget.paths.map(({ output, reader, propagationMs }) => [output, reader, propagationMs]),
    [
      [0, [], 240_000],
      [1, [], 240_000],
      [0, ["consumers", 0], 600_000],
      [0, ["files", 0], 240_000],
    ],
  );
});

test("paused is true, false or until", () => {
  const configuration = parse({
    a: rotation({ paused: true, outputs: [{ secret: "a" }] }),
    b: rotation({ paused: false, outputs: [{ secret: "b" }] }),
  });
  assert.deepEqual(ready(configuration, "a").paused, {});
  assert.equal("paused" in ready(configuration, "b"), false);
});

test("rotations share what they have in common", () => {
  const configuration = parse({
    a: rotation({ outputs: [{ secret: "a" }] }),
    b: rotation({ outputs: [{ secret: "b" }] }),
    c: rotation({ outputs: [{ secret: "c" }], source: { kind: "plain", scope: "c" } }),
  });
  const [a, b, c] = ["a", "b", "c"].map((name) => ready(configuration, name));
  assert.equal(a?.sources, b?.sources);
  assert.equal(a?.outputs[0]?.options, b?.outputs[0]?.options);
  assert.notDeepEqual(a?.sources, c?.sources);
  assert.notEqual(a?.outputs[0]?.spec, c?.outputs[0]?.spec);
});

test("a configuration is frozen throughout", () => {
  const configuration = parse({ a: rotation() });
  const unfrozen: string[] = [];
  (function look(value: unknown, at: string): void {
    if (typeof value === "object" && value !== null) {
      if (!Object.isFrozen(value)) {
        unfrozen.push(at);
      }
      for (const [key, inner] of Object.entries(value)) {
        look(inner, `${at}.${key}`);
      }
    }
  })(configuration, "");
  assert.deepEqual(unfrozen, []);
});

test("the vault comes from the text, then from KEY_VAULT_URL", () => {
  const read = (top: object, url?: string) =>
    parseConfiguration(JSON.stringify({ ...top, rotations: { a: rotation() } }), {
      file: "a",
      environment: { KEY_VAULT_URL: url },
      registries,
    }).vault;
  assert.equal(read({ vault: otherVault }, vault), otherVault);
  assert.equal(read({}, `${vault}/`), vault);
  assert.throws(() => read({}, ""), { code: "ConfigurationInvalid" });
  assert.throws(() => read({}, "http://kv.vault.azure.net"), { code: "ConfigurationInvalid" });
});

test("a byte order mark and CRLF are no fault", () => {
  const content = `\uFEFF${JSON.stringify({ vault, rotations: { a: rotation() } }, undefined, 2).replaceAll("\n", "\r\n")}`;
  assert.deepEqual(parseConfiguration(content, { file: "a", environment: {}, registries }).problems, []);
});

test("a fault blocks its rotation and leaves the others", () => {
  const configuration = parse({
    good: rotation({ outputs: [{ secret: "a" }] }),
    bad: rotation({
      margin: "soon",
      outputs: [{ secret: "b" }, { secret: "c_" }, { secret: "d", vault: otherVault }],
    }),
    fine: rotation({ outputs: [{ secret: "e" }] }),
  });
  assert.deepEqual(
    configuration.rotations.map(({ name, state, faults }) => [name, state, faults.length]),
    [
      ["good", "ready", 0],
      ["bad", "blocked", 2],
      ["fine", "ready", 0],
    ],
  );
  const bad = configuration.rotations[1];
  assert.deepEqual(bad?.outputs, [
    { secret: "b", vault },
    { secret: "d", vault: otherVault },
  ]);
  assert.deepEqual(configuration.problems, bad?.faults);
});

test("all problems of all rotations are told at once", () => {
  const configuration = parse({
    a: rotation({ margin: "x", lifetim: "1h" }),
    b: rotation({ source: { kind: "plian" }, paused: 1 }),
    C: rotation({ outputs: [{ secret: "token" }], lifetime: "10m" }),
  });
  assert.deepEqual(configuration.problems.map(({ code, pointer }) => `${code} ${pointer}`).sort(), [
    "DuplicateSecret rotations.C.outputs[0].secret",
    "DuplicateSecret rotations.b.outputs[0].secret",
    "InvalidName rotations.C",
    "InvalidValue rotations.a.margin",
    "UnknownKey rotations.a.lifetim",
    "UnknownKind rotations.b.source.kind",
    "UnsafeBudget rotations.C",
    "WrongType rotations.b.paused",
  ]);
});

test("near misses are answered with what was meant, others with the choice", () => {
  const { problems } = parse({
    a: {
      source: { kind: "plian" },
      outputs: [{ secret: "token", format: "wire" }],
      margn: "1h",
      consumers: [{ kind: "whatever" }],
      expect: { version: "1" },
    },
  });
  assert.deepEqual(
    problems.map(({ pointer, remedy }) => [pointer, remedy]),
    [
      ["rotations.a.source.kind", "Did you mean plain?"],
      ["rotations.a.outputs[0].format", "Did you mean line?"],
      ["rotations.a.consumers[0].kind", "Use one of: app."],
      ["rotations.a.expect.version", "Did you mean 1.0?"],
      ["rotations.a.margn", "Did you mean margin?"],
    ],
  );
});

test("a rotation whose name is not taken is blocked under what can be shown of it", () => {
  const part = "abcdefgh01234567";
  const names = [
    "Upper",
    "under_score",
    "-hyphen",
    "x".repeat(64),
    `eyJ${part}.${part}.${part}`,
    "constructor",
  ];
  const { rotations, problems } = parse(
    Object.fromEntries(names.map((name, index) => [name, rotation({ outputs: [{ secret: `s${index}` }] })])),
  );
  assert.deepEqual(
    rotations.map(({ name, state }) => [name, state]),
    [
      ["Upper", "blocked"],
      ["under_score", "blocked"],
      ["-hyphen", "blocked"],
      ["#4", "blocked"],
      ["#5", "blocked"],
      ["constructor", "blocked"],
    ],
  );
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["InvalidName", "InvalidName", "InvalidName", "InvalidName", "LiteralSecret", "ForbiddenKey"],
  );
});

test("keys that stand twice are refused where they stand", () => {
  const content = `{ "vault": "${vault}", "rotations": {
    "a": { "source": { "kind": "plain" }, "outputs": [{ "secret": "x", "secret": "a" }] },
    "b": { "source": { "kind": "plain" }, "outputs": [{ "secret": "b" }] },
    "b": { "source": { "kind": "plain" }, "outputs": [{ "secret": "b" }] }
  } }`;
  const configuration = parseConfiguration(content, { file: "a", environment: {}, registries });
  assert.deepEqual(
    problems(configuration).map(([code, pointer]) => [code, pointer]),
    [
      ["DuplicateKey", "rotations.a.outputs[0].secret"],
      ["DuplicateKey", "rotations.b"],
    ],
  );
  assert.throws(
    () =>
      parseConfiguration(`{ "vault": "${vault}", "vault": "${vault}", "rotations": { "a": 1 } }`, {
        file: "a",
        environment: {},
        registries,
      }),
    { code: "ConfigurationInvalid" },
  );
});

test("keys that reach into objects leave no trace", () => {
  const { rotations } = parseConfiguration(
    text({ a: rotation() }).replace('"kind"', '"__proto__": { "polluted": true }, "kind"'),
    { file: "a", environment: {}, registries },
  );
  assert.equal(rotations[0]?.state, "blocked");
  assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
});

test("two outputs of one name are refused at the later one, in any spelling", () => {
  assert.deepEqual(
    problems(
      parse({
        a: rotation({ outputs: [{ secret: "one" }, { secret: "ONE" }] }),
        b: rotation({ outputs: [{ secret: "One", vault: "https://KV-EXAMPLE.vault.azure.net/" }] }),
        c: rotation({ outputs: [{ secret: "one", vault: otherVault }] }),
      }),
    ),
    [
      [
        "DuplicateSecret",
        "rotations.a.outputs[1].secret",
        "is also the secret of rotations.a.outputs[0].secret",
      ],
      [
        "DuplicateSecret",
        "rotations.b.outputs[0].secret",
        "is also the secret of rotations.a.outputs[0].secret",
      ],
    ],
  );
});

test("an output may not be what a source reads or keeps, whichever comes first", () => {
  const keeper = (secret: string, refreshToken: string) => ({
    kind: "keeper",
    client: { secret: { secret } },
    refreshToken: { secret: refreshToken },
  });
  assert.deepEqual(
    problems(
      parse({
        a: rotation({ source: keeper("client", "kept"), outputs: [{ secret: "a" }] }),
        b: rotation({ outputs: [{ secret: "Kept" }, { secret: "b" }] }),
        c: rotation({ source: [{ kind: "plain" }, keeper("B", "kept")], outputs: [{ secret: "c" }] }),
        // Sources may share what they read and keep.
        d: rotation({ source: keeper("client", "kept"), outputs: [{ secret: "d" }] }),
      }),
    ),
    [
      [
        "DuplicateSecret",
        "rotations.b.outputs[0].secret",
        "is also the secret of rotations.a.source.refreshToken",
      ],
      [
        "DuplicateSecret",
        "rotations.c.source[1].client.secret",
        "is also the secret of rotations.b.outputs[1].secret",
      ],
    ],
  );
});

test("a secret of a consumer is fed once, a file is written once", () => {
  const to = (name: string, app: string, secret: string, path: string) =>
    rotation({
      outputs: [{ secret: name }],
      consumers: [{ kind: "app", app, secret, output: name }],
      files: [
        { kind: "file", output: name, path },
        { kind: "pgpass", output: name },
      ],
    });
  assert.deepEqual(
    problems(
      parse({
        a: to("a", "/apps/One", "uri", "~/a"),
        b: to("b", "/apps/one", "other", "~/b"),
        c: to("c", "/apps/one", "uri", "~/a"),
      }),
    ),
    [
      [
        "DuplicateBinding",
        "rotations.c.consumers[0].secret",
        "is already fed by rotations.a.consumers[0].secret",
      ],
      ["DuplicateFile", "rotations.c.files[0].path", "is already written by rotations.a.files[0].path"],
    ],
  );
});

test("an unsafe budget is refused with its arithmetic and what to change", () => {
  const [problem] = parse({ a: rotation({ margin: "20m", lifetime: "1h" }) }).problems;
  assert.equal(
    problem?.message,
    "is shorter than the least safe one for readers of the vault: propagation 5m + 3 × tick 5m + retries 2m = 22m, and the margin is 20m",
  );
  assert.equal(
    problem?.remedy,
    "Make the margin at least 22m, or leave it out, or shorten tick or propagation.",
  );
});

test("equal sources have one key however they are written; others have another", () => {
  const keeper = (refreshToken: object) =>
    rotation({ source: { kind: "keeper", refreshToken }, outputs: [{ secret: "t" }] });
  const key = (one: object) => ready(parse({ a: one }), "a").sources[0]?.key;
  const first = key(keeper({ secret: "kept" }));
  assert.equal(key(keeper({ vault: `${vault}/`, secret: "kept" })), first);
  assert.notEqual(key(keeper({ vault: otherVault, secret: "kept" })), first);
  assert.notEqual(key(keeper({ secret: "other" })), first);
});

test("the spec changes with what changes the content, and with nothing else", () => {
  const spec = (overrides: object, output: object = {}) =>
    ready(
      parse({
        a: rotation({ outputs: [{ secret: "token", format: "line", user: "u", ...output }], ...overrides }),
      }),
      "a",
    ).outputs[0]?.spec;
  const first = spec({});
  const same: readonly (string | undefined)[] = [
    spec({}, { parameters: {} }),
    spec({}, { vault: otherVault }),
    spec({}, { adopt: true }),
    spec({ margin: "25m" }),
    spec({ consumers: [{ kind: "app", app: "a", output: "token", secret: "s" }] }),
    spec({ source: { kind: "plain", lives: "1h" } }),
    spec({}, { secret: "token", format: "line" }),
  ];
  assert.deepEqual(new Set(same), new Set([first]));
  const other = [
    spec({}, { user: "v" }),
    spec({}, { parameters: { a: "b" } }),
    spec({ source: { kind: "plain", scope: "x" } }),
    spec({ source: [{ kind: "plain" }, { kind: "plain", scope: "x" }] }),
  ];
  assert.equal(new Set([first, ...other]).size, 5);
});

test("the hash changes with the meaning, not with the order of keys or the spacing", () => {
  const hash = (content: string) =>
    parseConfiguration(content, { file: "a", environment: {}, registries }).hash;
  const first = hash(text({ a: rotation() }));
  const [source, outputs] = [JSON.stringify({ kind: "plain" }), JSON.stringify([{ secret: "token" }])];
  assert.equal(
    hash(`{ "rotations": { "a": { "outputs": ${outputs}, "source": ${source} } },\n "vault": "${vault}/" }`),
    first,
  );
  assert.equal(hash(text({ a: rotation() }, { tick: "300s" })), first);
  assert.notEqual(hash(text({ a: rotation({ margin: "25m" }) })), first);
  assert.notEqual(hash(text({ b: rotation() })), first);
});
