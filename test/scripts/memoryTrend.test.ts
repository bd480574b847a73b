import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryTrend } from "../../scripts/memoryTrend.ts";

test("what grows evenly grows by that", () => {
  assert.equal(memoryTrend([3, 5, 7, 9]), 2);
  assert.equal(memoryTrend([4, 4]), 0);
});

test("samples that stand out do not count", () => {
  assert.equal(memoryTrend([1, 2, 3, 400, 5, 6, -70, 8, 9, 10]), 1);
});

test("nothing can be said of fewer than two samples", () => {
  assert.ok(Number.isNaN(memoryTrend([])));
  assert.ok(Number.isNaN(memoryTrend([1])));
});
