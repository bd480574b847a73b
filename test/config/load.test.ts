import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, test } from "node:test";
import { loadConfiguration } from "../../src/config/load.ts";
import { RotatorError } from "../../src/errors.ts";
import { vault } from "./registries.ts";

const content = JSON.stringify({
  vault,
  rotations: {
    "oracle-adb": {
      source: { kind: "entra", scope: "https://example.org/.default" },
      outputs: [{ secret: "oracle-entraid-token" }],
    },
  },
});

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "rotations-"));
});
after(() => rm(directory, { recursive: true }));

async function fileWith(bytes: string | Uint8Array, name = "rotations.json"): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, bytes);
  return file;
}

test("a file is read, and paths in it begin beside it", async () => {
  const file = await fileWith(`\uFEFF${content}`, "good.json");
  const configuration = await loadConfiguration({ file: relative(process.cwd(), file), environment: {} });
  assert.deepEqual([configuration.file, configuration.directory], [file, directory]);
  assert.deepEqual(configuration.problems, []);
});

test("ROTATIONS_FILE names the file where nobody else does", async () => {
  const ROTATIONS_FILE = await fileWith(content, "named.json");
  assert.equal((await loadConfiguration({ environment: { ROTATIONS_FILE } })).file, ROTATIONS_FILE);
  const file = await fileWith(content, "other.json");
  assert.equal((await loadConfiguration({ file, environment: { ROTATIONS_FILE } })).file, file);
});

test("a file that says the same is not checked again; a changed one is", async () => {
  const file = await fileWith(content);
  const first = await loadConfiguration({ file, environment: {} });
  assert.equal(await loadConfiguration({ file, environment: {} }), first);
  assert.notEqual(await loadConfiguration({ file, environment: { KEY_VAULT_URL: vault } }), first);
  await fileWith(content.replace("oracle-adb", "oracle"));
  const second = await loadConfiguration({ file, environment: {} });
  assert.equal(second.rotations[0]?.name, "oracle");
});

const unusable: readonly (readonly [string, () => Promise<string>, object])[] = [
  [
    "a file that is not there",
    async () => join(directory, "nowhere.json"),
    { code: "ConfigurationUnreadable", errorCode: "ENOENT" },
  ],
  ["a directory", async () => directory, { code: "ConfigurationNotAFile" }],
  [
    "what never ends",
    async () => (process.platform === "win32" ? "\\\\.\\NUL" : "/dev/zero"),
    { code: "ConfigurationNotAFile" },
  ],
  [
    "a path through a file",
    async () => join(await fileWith(content), "rotations.json"),
    { code: "ConfigurationUnreadable" },
  ],
  [
    "UTF-16",
    () => fileWith(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(content, "utf16le")])),
    { code: "ConfigurationNotUtf8" },
  ],
  [
    "bytes that are no text",
    () => fileWith(Buffer.from([0x7b, 0x80, 0x7d])),
    { code: "ConfigurationNotUtf8" },
  ],
  ["an empty file", () => fileWith(""), { code: "ConfigurationNotJson" }],
  ["a wrong top level", () => fileWith("[]"), { code: "ConfigurationInvalid" }],
];

for (const [name, prepare, expected] of unusable) {
  test(`nothing is made of ${name}`, async () => {
    const file = await prepare();
    await assert.rejects(loadConfiguration({ file, environment: {} }), (error: unknown) => {
      assert.ok(error instanceof RotatorError);
      assert.equal(error.facts.file, file);
      assert.deepEqual(
        { code: error.code, errorCode: error.facts.errorCode, ...expected },
        {
          code: error.code,
          errorCode: error.facts.errorCode,
        },
      );
      return true;
    });
  });
}
