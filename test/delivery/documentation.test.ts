import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parseConfiguration } from "../../src/config/parse.ts";
import { contentProblems } from "../../src/delivery/files/contentProblems.ts";
import { fileProblems } from "../../src/delivery/files/fileProblems.ts";
import { kubernetesRotations, manifests, manifestText } from "../../src/delivery/kubernetes/manifests.ts";

function read(name: string): Promise<string> {
  return readFile(new URL(`../../docs/${name}`, import.meta.url), "utf8");
}

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "gs"))].map(
    ([, block = ""]) => block,
  );
}

for (const name of ["choose.md", "pull.md", "kubernetes.md"]) {
  test(`docs/${name} has examples that the configuration takes`, async () => {
    const examples = blocks(await read(name), "json").map((block) => JSON.parse(block));
    const whole = examples.filter(({ rotations }) => rotations !== undefined);
    assert.ok(whole.length > 0);
    // A part of a rotation is put into one that has the outputs that it names.
    const [{ rotations: host }] = whole;
    const [[hostName, hostRotation]] = Object.entries(host as Record<string, object>) as [[string, object]];
    const parts = examples
      .filter(({ rotations }) => rotations === undefined)
      .map((part) => ({
        vault: whole[0].vault,
        rotations: { [hostName]: { ...hostRotation, outputs: outputsOf(part), ...part } },
      }));
    for (const example of [...whole, ...parts]) {
      const { problems } = parseConfiguration(JSON.stringify(example), {
        file: "rotations.json",
        environment: {},
      });
      assert.deepEqual(problems, []);
    }
  });
}

/** Raw outputs of every name that stands as `output` in a part. */
function outputsOf(part: object): { secret: string }[] {
  const names = [...JSON.stringify(part).matchAll(/"output":"([^"]+)"/g)].map(([, name = ""]) => name);
  return [...new Set(names)].map((secret) => ({ secret }));
}

test("docs/kubernetes.md shows the class that is written", async () => {
  const text = await read("kubernetes.md");
  const [document = ""] = blocks(text, "json");
  const [shown = ""] = blocks(text, "yaml");
  const configuration = parseConfiguration(document, { file: "rotations.json", environment: {} });
  assert.equal(kubernetesRotations(configuration, []).length, 1);
  const [manifest] = manifests(configuration, {
    names: [],
    environment: {},
    sidecar: false,
    cronJob: false,
    image: "image",
    document,
    complaints: new Map(),
  });
  assert.ok(manifest !== undefined && manifestText(manifest).includes(shown));
});

test("docs/pull.md says what to do about every error of files", async () => {
  const [, section = ""] = (await read("pull.md")).split("## When it fails");
  for (const code of [...Object.keys(fileProblems), ...Object.keys(contentProblems)]) {
    assert.match(section, new RegExp(`^\\|.*\`${code}\`.*\\|`, "m"));
  }
});
