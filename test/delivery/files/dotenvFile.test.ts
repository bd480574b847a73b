import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseEnv } from "node:util";
import { mergeDotenv } from "../../../src/delivery/files/dotenvFile.ts";
import { fc } from "../../properties.ts";

function merged(existing: string | undefined, ours: string): string {
  const file = existing === undefined ? undefined : Buffer.from(existing, "latin1");
  return mergeDotenv(file, Buffer.from(ours)).toString("latin1");
}

describe("where our variables go", () => {
  for (const [name, existing, ours, expected] of [
    ["no file", undefined, "A=1\n", "A=1\n"],
    ["to the end", "B=2", "A=1\n", "B=2\nA=1\n"],
    ["in their own place", "# c\nA=0 # old\nB=2\n", "A=1\n", "# c\nA=1\nB=2\n"],
    ["after an export of the user's", "export A='0'\n", "A=1\n", "export A=1\n"],
    ["with the file's line ends", "B=2\r\n", "A=1\nC=3\n", "B=2\r\nA=1\r\nC=3\r\n"],
    ["in place of a value over several lines", 'A="x\ny\nz"\nB=2\n', "A=1\n", "A=1\nB=2\n"],
    ["not into somebody else's value", 'B="x\nA=0\ny"\n', "A=1\n", 'B="x\nA=0\ny"\nA=1\n'],
    ["once, where the last would win", "A=0\nB=2\nA=9\n", "A=1\n", "A=1\nB=2\n"],
    ["beside a quote that is never closed", "B='x\nA=0\n", "A=1\n", "B='x\nA=1\n"],
    ["beside a comment that looks like one", "#A=0\n", "A=1\n", "#A=0\nA=1\n"],
    ["without touching bytes that are no UTF-8", "B=\xff\xfe\n", "A=1\n", "B=\xff\xfe\nA=1\n"],
  ] as const) {
    test(name, () => {
      assert.equal(merged(existing, ours), expected);
      assert.equal(merged(expected, ours), expected, "a second time changes nothing");
    });
  }
});

for (const content of ["", "eyJhbGciOi.eyJzdWIi.c2ln", "A=1\nnot one\n", "1A=2\n"]) {
  test(`${JSON.stringify(content)} is no set of variables`, () => {
    assert.throws(() => merged("B=2\n", content), { code: "ContentUnfit" });
  });
}

const value = fc.constantFrom("1", "'q'", '"q"', "'a\nb'", '"a\nA=0\nb"', "a b", "x # c", "`t`");
const definition = fc.oneof(
  fc
    .tuple(fc.constantFrom("", "export "), fc.constantFrom("A", "B", "C"), fc.constantFrom("=", " = "), value)
    .map((parts) => parts.join("")),
  // Without a blank at its end: Node.js would take the next line for its value.
  fc.constantFrom("A=", "B="),
);
const file = fc
  .array(fc.oneof(definition, fc.constantFrom("", "# c", "# A=0")), { maxLength: 8 })
  .chain((lines) => fc.constantFrom(lines.join("\n"), `${lines.join("\n")}\n`));

test("Node.js reads our value, and everybody else's as before", () => {
  fc.assert(
    fc.property(file, (existing) => {
      const once = merged(existing, "A=token\n");
      assert.equal(merged(once, "A=token\n"), once);
      assert.deepEqual({ ...parseEnv(once) }, { ...parseEnv(existing), A: "token" });
    }),
    { numRuns: 2_000 },
  );
});

test("10 MB with quotes that are never closed take no longer than others", () => {
  const existing = `${"B='x\nC=\"y\n".repeat(600_000)}D=\`\n`;
  assert.ok(merged(existing, "A=1\n").endsWith("D=`\nA=1\n"));
});
