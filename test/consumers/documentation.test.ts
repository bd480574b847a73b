import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import * as z from "zod";
import { consumerProblems } from "../../src/consumers/containerAppProblems.ts";
import { consumers } from "../../src/consumers/registry.ts";

describe("docs/container-apps.md", async () => {
  const text = await readFile(new URL("../../docs/container-apps.md", import.meta.url), "utf8");

  it("says what to do about every error, and about no other", () => {
    const [, section = ""] = text.split("## Errors, and what to do");
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    const documented = rows.flatMap((row) => [...(row.split(" | ")[0] ?? "").matchAll(/`(\w+)`/g)]);
    assert.deepEqual(documented.map(([, code]) => code).toSorted(), Object.keys(consumerProblems).toSorted());
  });

  it("has examples that the schemas take", () => {
    const examples = [...text.matchAll(/```json\n(.*?)```/gs)].map(([, json = ""]) => JSON.parse(json));
    const found = examples.flatMap((example) =>
      example.rotations === undefined ? [example] : example.rotations["postgres-mcp"].consumers,
    );
    const options = found.filter(({ kind }) => kind !== undefined);
    assert.equal(options.length, 3);
    for (const example of options) {
      const { schema } = consumers[example.kind as keyof typeof consumers];
      assert.deepEqual(schema(z).safeParse(example).error?.issues ?? [], []);
    }
  });
});
