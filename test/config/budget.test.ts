import assert from "node:assert/strict";
import { test } from "node:test";
import { freshnessBudget, type RotationTiming } from "../../src/config/budget.ts";

const minute = 60_000;

/** Propagation 5m + 3 ticks of 5m + retries 2m: a floor of 22m. */
function timing(overrides: Partial<RotationTiming> = {}): RotationTiming {
  return {
    lifetimeMs: 60 * minute,
    tickMs: 5 * minute,
    retryBudgetMs: 2 * minute,
    refusedBeforeExpiryMs: 0,
    paths: [{ output: 0, reader: [], propagationMs: 5 * minute }],
    ...overrides,
  };
}

function codes(overrides: Partial<RotationTiming>): string[] {
  return freshnessBudget(timing(overrides)).unsafe.map(({ code }) => code);
}

test("the budget is what lifetime, margin, tick and propagation leave", () => {
  const { budget, unsafe } = freshnessBudget(timing());
  assert.deepEqual(unsafe, []);
  assert.deepEqual(budget, {
    floorMs: 22 * minute,
    overdueMs: 7 * minute,
    marginMs: 22 * minute,
    budgetMs: 28 * minute,
    arithmetic: "lifetime 1h − margin 22m − tick 5m − propagation 5m = 28m",
    paths: [{ output: 0, reader: [], propagationMs: 5 * minute, budgetMs: 28 * minute }],
  });
});

test("the margin is a third of the lifetime where that is more than the floor", () => {
  assert.equal(freshnessBudget(timing({ lifetimeMs: 66 * minute })).budget.marginMs, 22 * minute);
  assert.equal(freshnessBudget(timing({ lifetimeMs: 66 * minute + 3 })).budget.marginMs, 22 * minute + 1);
});

test("the floor counts how long before its expiry a token is refused", () => {
  assert.equal(freshnessBudget(timing({ refusedBeforeExpiryMs: 30_000 })).budget.floorMs, 22.5 * minute);
});

const margins: readonly (readonly [string, number, readonly string[]])[] = [
  ["at the floor", 22 * minute, []],
  ["one millisecond below the floor", 22 * minute - 1, ["UnsafeMargin"]],
  ["that leaves one millisecond", 50 * minute - 1, []],
  ["that leaves nothing", 50 * minute, ["UnsafeBudget"]],
];

for (const [name, marginMs, expected] of margins) {
  test(`a margin ${name}: ${expected[0] ?? "safe"}`, () => assert.deepEqual(codes({ marginMs }), expected));
}

const lifetimes: readonly (readonly [number, readonly string[]])[] = [
  [32 * minute + 1, []],
  [32 * minute, ["UnsafeBudget"]],
  [5 * minute, ["UnsafeBudget"]],
];

for (const [lifetimeMs, expected] of lifetimes) {
  test(`a lifetime of ${lifetimeMs} ms: ${expected[0] ?? "safe"}`, () => {
    assert.deepEqual(codes({ lifetimeMs }), expected);
  });
}

test("the slowest reader decides the floor and is named", () => {
  const paths = [
    { output: 0, reader: [], propagationMs: 5 * minute },
    { output: 0, reader: ["consumers", 1], propagationMs: 30 * minute },
  ];
  const { budget, unsafe } = freshnessBudget(
    timing({ lifetimeMs: 24 * 60 * minute, marginMs: 40 * minute, paths }),
  );
  assert.equal(budget.floorMs, 47 * minute);
  assert.deepEqual(
    unsafe.map(({ code, reader }) => [code, reader]),
    [["UnsafeMargin", ["consumers", 1]]],
  );
  assert.match(
    unsafe[0]?.text ?? "",
    /consumers\[1\]: propagation 30m \+ 3 × tick 5m \+ retries 2m = 47m, and the margin is 40m; make the margin at least 47m/,
  );
});

test("each reader that cannot be served is told once, with its own arithmetic", () => {
  const paths = [
    { output: 0, reader: [], propagationMs: 5 * minute },
    { output: 0, reader: [], propagationMs: 5 * minute },
    { output: 0, reader: ["consumers", 0], propagationMs: 6 * minute },
  ];
  const { unsafe } = freshnessBudget(timing({ lifetimeMs: 33 * minute, paths }));
  assert.deepEqual(
    unsafe.map(({ text }) => text.slice(0, text.indexOf(";"))),
    [
      "leaves a token that is always due: lifetime 33m − margin 23m − tick 5m − propagation 5m = 0s",
      "leaves a token that is always due: lifetime 33m − margin 23m − tick 5m − propagation 6m = -1m",
    ],
  );
});
