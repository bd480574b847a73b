import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { checkedFileOf, digestOf, readChecked, writeChecked } from "../../src/config/checked.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import { catalogue } from "../simulation/scenario.ts";
import { vault } from "./registries.ts";

const otherVault = "https://kv-other.vault.azure.net";
const source = { kind: "entra", scope: "https://example.org/.default" };
const rotations = { "oracle-adb": { source, outputs: [{ secret: "oracle-entraid-token" }] } };
const withoutVault = JSON.stringify({ rotations });
const withVault = JSON.stringify({ vault, rotations });

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "checked-"));
});
after(() => rm(directory, { recursive: true }));

/** Writes a configuration and its checked copy, in a file of that name. */
async function packaged(name: string, text: string, environment: Record<string, string> = {}) {
  const file = join(directory, name);
  await writeFile(file, text);
  const configuration = parseConfiguration(text, { file, environment });
  await writeChecked(file, text, configuration, environment);
  return { file, configuration };
}

test("the copy gives the very configuration that checking gives, frozen", async () => {
  const { file, configuration } = await packaged("same.json", withVault);
  const read = await readChecked(file, digestOf(withVault), {});
  assert.deepEqual(read, configuration);
  assert.ok(Object.isFrozen(read) && Object.isFrozen(read?.rotations[0]));
});

test("every kind of source, format and consumer survives the copy, and so do faults", async () => {
  const sound = Object.entries(catalogue).map(([name, make]) => [name, make(0)]);
  const broken = { source, outputs: [{ secret: "§" }] };
  const text = JSON.stringify({ vault, rotations: { ...Object.fromEntries(sound), broken } });
  const { file, configuration } = await packaged("all.json", text);
  assert.equal(configuration.problems.length, 1);
  const plain = JSON.parse(JSON.stringify(configuration));
  assert.deepEqual(JSON.parse(JSON.stringify(await readChecked(file, digestOf(text), {}))), plain);
});

test("a configuration that is loaded comes from the copy, without being checked", async () => {
  const { file } = await packaged("loaded.json", withVault);
  const copy = JSON.parse(await readFile(checkedFileOf(file), "utf8"));
  copy.configuration.hash = "from-the-copy";
  await writeFile(checkedFileOf(file), JSON.stringify(copy));
  assert.equal((await loadConfiguration({ file, environment: {} })).hash, "from-the-copy");
});

test("the copy does not count once the file says something else", async () => {
  const { file } = await packaged("changed.json", withVault);
  const changed = withVault.replace("oracle-adb", "oracle");
  assert.equal(await readChecked(file, digestOf(changed), {}), undefined);
  await writeFile(file, changed);
  assert.equal((await loadConfiguration({ file, environment: {} })).rotations[0]?.name, "oracle");
});

test("a vault of the environment is part of what was checked; one that the file names overrules it", async () => {
  const open = await packaged("open.json", withoutVault, { KEY_VAULT_URL: vault });
  assert.equal(
    (await readChecked(open.file, digestOf(withoutVault), { KEY_VAULT_URL: vault }))?.vault,
    vault,
  );
  assert.equal(
    await readChecked(open.file, digestOf(withoutVault), { KEY_VAULT_URL: otherVault }),
    undefined,
  );
  assert.equal(await readChecked(open.file, digestOf(withoutVault), {}), undefined);
  const named = await packaged("named.json", withVault, { KEY_VAULT_URL: otherVault });
  assert.equal((await readChecked(named.file, digestOf(withVault), {}))?.vault, vault);
  assert.equal(
    (await readChecked(named.file, digestOf(withVault), { KEY_VAULT_URL: otherVault }))?.vault,
    vault,
  );
});

for (const [name, content] of [
  ["no copy", undefined],
  ["an empty copy", ""],
  ["a copy that is cut short", '{"key":"'],
  ["a copy of something else", "[]"],
  ["a copy that is null", "null"],
] as const) {
  test(`${name} is no copy: the file is checked`, async () => {
    const file = join(directory, `${name.replaceAll(" ", "-")}.json`);
    await writeFile(file, withVault);
    if (content !== undefined) {
      await writeFile(checkedFileOf(file), content);
    }
    assert.equal(await readChecked(file, digestOf(withVault), {}), undefined);
    assert.equal((await loadConfiguration({ file, environment: {} })).problems.length, 0);
  });
}
