import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { formats } from "../../src/formats/registry.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken } from "../builders.ts";
import { complaints, layOut } from "./layOut.ts";

const documentation = await readFile(new URL("../../docs/formats.md", import.meta.url), "utf8");
/** What the examples leave out, as text that no format has to escape. */
const masked = ".masked";

test("the examples in docs/formats.md are what is written", async () => {
  const token = aToken({
    text: `eyJ${masked}`,
    companions: { refreshToken: new SecretValue(`M.C5${masked}`) },
    attributes: { fingerprint: "3f:9c:…:e1" },
  });
  const examples = [...documentation.matchAll(/```json\n(\{[^`]*)```\n```\w*\n([^`]*)```/g)];
  for (const [, options = "", expected] of examples) {
    const given = JSON.parse(options);
    assert.deepEqual(complaints(given), [], options);
    const written = (await layOut(given, token)).replaceAll(masked, "…");
    assert.equal(written.replace(/\n?$/, "\n"), expected);
  }
  assert.equal(examples.length, 8);
});

test("every format has a section of its own", () => {
  const sections = [...documentation.matchAll(/^## (\S+)$/gm)].map(([, name]) => name);
  assert.deepEqual(sections, Object.keys(formats));
});
