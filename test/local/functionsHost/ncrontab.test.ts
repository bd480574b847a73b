import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RotatorError } from "../../../src/errors.ts";
import { parseNcrontab } from "../../../src/local/functionsHost/ncrontab.ts";

/** The first occurrences after that moment, as ISO texts without milliseconds. */
function occurrences(expression: string, after: string, count: number): string[] {
  const schedule = parseNcrontab(expression);
  const times: number[] = [];
  for (let time = Date.parse(after); times.length < count; times.push(time)) {
    time = schedule.next(time);
  }
  return times.map((time) => new Date(time).toISOString().replace(".000Z", "Z"));
}

describe("parseNcrontab", () => {
  it("gives the first occurrence strictly after a time", () => {
    const { next } = parseNcrontab("0 */5 * * * *");
    const due = Date.parse("2026-01-01T00:05:00Z");
    assert.equal(next(due - 1), due);
    assert.equal(next(due), due + 300_000);
    assert.equal(next(due + 1), due + 300_000);
  });

  // Each row: the expression, a moment, and what follows it. 2026-01-01 is a Thursday.
  const table: [string, string, string[]][] = [
    ["0 30 9 * * 1-5", "2026-01-02T12:00:00Z", ["2026-01-05T09:30:00Z", "2026-01-06T09:30:00Z"]],
    ["15,45 * * * * *", "2026-01-01T00:00:15Z", ["2026-01-01T00:00:45Z", "2026-01-01T00:01:15Z"]],
    ["0 5/20 * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"]],
    ["0 0 6-2/2 1 1 *", "2025-12-31T23:59:59Z", ["2026-01-01T02:00:00Z", "2026-01-01T04:00:00Z"]],
    ["0 0 0 * Feb-mar Su", "2026-01-01T00:00:00Z", ["2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"]],
    ["0 0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]],
    // Both the day of the month and the day of the week, where other crons take either.
    ["0 0 0 13 * Friday", "2026-01-01T00:00:00Z", ["2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"]],
    // Five fields begin with minutes.
    ["*/30 0 * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:30:00Z", "2026-01-02T00:00:00Z"]],
  ];
  for (const [expression, after, expected] of table) {
    it(`reads ${expression}`, () => {
      assert.deepEqual(occurrences(expression, after, expected.length), expected);
    });
  }

  it("knows a schedule that is due more than once a minute", () => {
    assert.equal(parseNcrontab("*/10 * * * * *").subMinute, true);
    assert.equal(parseNcrontab("0,1 * * * * *").subMinute, true);
    assert.equal(parseNcrontab("0 * * * * *").subMinute, false);
    assert.equal(parseNcrontab("*/10 0 * * * *").subMinute, false);
  });

  const refused = [
    "",
    "every night",
    "* * * *",
    "0 * * * * * *",
    "60 * * * * *",
    "0 0 24 * * *",
    "0 0 0 0 * *",
    "0 0 0 * * 7",
    "0 0 0 L * *",
    "0 0 0 * * 5#2",
    "0 0 0 ? * *",
    "@daily",
    "00:05:00",
    "0 */0 * * * *",
    "0 1, * * * *",
    "0 1--2 * * * *",
    "0 *-5 * * * *",
    "0 0 0 * Foo *",
    "0 0 0 30 2 *",
  ];
  for (const expression of refused) {
    it(`refuses '${expression}'`, () => {
      assert.throws(
        () => parseNcrontab(expression),
        (error) =>
          error instanceof RotatorError &&
          error.code === "ScheduleInvalid" &&
          error.facts.schedule === expression,
      );
    });
  }
});
