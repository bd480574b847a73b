import assert from "node:assert/strict";
import { test } from "node:test";
import { configProblem, formatProblem, formatProblems } from "../../src/config/problems.ts";

const part = "abcdefgh01234567";

test("a problem has a pointer, what was found, and a sentence that mends it", () => {
  const path = ["rotations", "postgres-mcp", "outputs", 0, "secret"];
  assert.deepEqual(configProblem(path, "Missing", "is missing; write text; or leave it"), {
    path,
    pointer: "rotations.postgres-mcp.outputs[0].secret",
    code: "Missing",
    message: "is missing",
    remedy: "Write text; or leave it.",
  });
});

test("a text without a remedy leads to the schema", () => {
  assert.equal(
    configProblem([], "InvalidValue", "is odd").remedy,
    "See what rotations.schema.json says about this field.",
  );
});

const pointers: readonly (readonly [readonly (string | number)[], string])[] = [
  [["rotations", "9lives", "outputs", 1], "rotations.9lives.outputs[1]"],
  [["rotations", "with.dot"], 'rotations["with.dot"]'],
  [["rotations", `eyJ${part}.${part}.${part}`], 'rotations["(53 characters)"]'],
  [["rotations", "x".repeat(64)], 'rotations["(64 characters)"]'],
  [["rotations", "line\nbreak"], 'rotations["(10 characters)"]'],
];

for (const [path, pointer] of pointers) {
  test(`the pointer ${pointer}`, () => assert.equal(configProblem(path, "UnknownKey", "x").pointer, pointer));
}

test("the text for people has the path first, then what was found, then how to mend it", () => {
  const problems = [
    configProblem(["tick"], "InvalidValue", "is not a duration; write 5m"),
    configProblem([], "WrongType", "is a list; write an object"),
  ];
  assert.equal(
    formatProblems(problems, { file: "rotations.json" }),
    [
      "rotations.json: 2 problems",
      "  tick is not a duration (InvalidValue)",
      "    Write 5m.",
      "  the document is a list (WrongType)",
      "    Write an object.",
    ].join("\n"),
  );
  assert.deepEqual(problems.map(formatProblem), [
    "tick is not a duration (InvalidValue). Write 5m.",
    "the document is a list (WrongType). Write an object.",
  ]);
});
