import assert from "node:assert/strict";
import { test } from "node:test";
import { readJson } from "../../src/config/json.ts";
import { fc } from "../properties.ts";

test("it reads what JSON.parse reads, and refuses what JSON.parse refuses", () => {
  // Valid texts, and the same with one thing removed, doubled or put in.
  const mutated = fc
    .tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom("", "{", "}", "[", "]", ",", ":", '"', "\\", "1", "e", "-", "\n", "\u0001"),
    )
    .map(([json, at, insert]) => {
      const position = at % (json.length + 1);
      return json.slice(0, position) + insert + json.slice(position + (at % 2));
    });
  fc.assert(
    fc.property(fc.oneof(fc.json(), mutated, fc.string()), (text) => {
      const read = readJson(text);
      assert.deepEqual(read.ok ? { value: read.value } : undefined, parsed(text));
    }),
    { numRuns: 2000 },
  );
});

function parsed(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const faults: readonly (readonly [string, string, number, string, string])[] = [
  ["nothing", "", 0, "a value", "the end of the file"],
  ["a comment before", "// rotations\n{}", 0, "a value", "a comment"],
  ["a comment within", '{ "a": 1, /* b */ "b": 2 }', 10, "a key", "a comment"],
  ["a comma after the last entry", '{ "a": 1, }', 10, "a key", "}"],
  ["a comma after the last element", "[1, ]", 4, "a value", "]"],
  ["a missing comma", '{ "a": 1 "b": 2 }', 9, "a comma", "text"],
  ["a missing colon", '{ "a" 1 }', 6, "a colon", "something else"],
  ["single quotes", "{ 'a': 1 }", 2, "a key or }", "a single quote"],
  ["no quotes", "{ a: 1 }", 2, "a key or }", "something else"],
  [
    "text that goes over the line",
    '{ "a": "b\nc" }',
    7,
    "a value",
    "text that is not closed or badly escaped",
  ],
  ["a value too many", "{} {}", 3, "the end", "{"],
  ["the wrong bracket", '{ "a": [1 } ', 10, "a comma", "}"],
  ["an open object", '{ "a": 1', 8, "a comma", "the end of the file"],
  ["nesting without end", "[".repeat(100), 64, "at most 64 levels", "a deeper one"],
];

for (const [name, text, offset, expected, found] of faults) {
  test(`${name} is found where it is`, () => {
    assert.deepEqual(readJson(text), { ok: false, offset, expected, found });
  });
}

test("keys that stand twice are named with their path", () => {
  const read = readJson(
    '{ "a": { "b": 1, "b": 2 }, "c": [{}, { "d": 1, "\\u0064": 2 }], "a": 1, "__proto__": 1 }',
  );
  assert.deepEqual(read.ok && read.duplicates, [["a", "b"], ["c", 1, "d"], ["a"]]);
});
