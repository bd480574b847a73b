import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";
import { fc } from "../properties.ts";

const good: readonly (readonly [string, number])[] = [
  ["1s", 1000],
  ["90s", 90_000],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["2d", 172_800_000],
  ["1d1h1m1s", 90_061_000],
];

for (const [text, ms] of good) {
  test(`${text} is ${ms} milliseconds`, () => assert.equal(parseDuration(text), ms));
}

const bad = [
  "",
  "5",
  "5 m",
  "m",
  "0s",
  "0h5m",
  "05m",
  "5M",
  "30m1h",
  "1h1h",
  "1.5h",
  "-5m",
  "5m ",
  "PT5M",
  "5ms",
  "1234567s",
];

for (const text of bad) {
  test(`"${text}" is no duration`, () => assert.equal(parseDuration(text), undefined));
}

test("every number of whole seconds that is printed is read back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 86_400 * 999_999 }), (seconds) => {
      assert.equal(parseDuration(formatDuration(seconds * 1000)), seconds * 1000);
    }),
  );
});

test("any other text is none, and what is one is as long as its own spelling says", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "1d",
      "2h",
      "3m",
      "4s",
      "d",
      "h",
      "m",
      "s",
      "0",
      "1",
      "90",
      "999999",
      "1000000",
      "-",
      ".",
      " ",
      "e5",
      "\u0661",
      "\n",
    ),
    fc.string({ unit: "binary", maxLength: 3 }),
  );
  let read = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const text = pieces.join("");
      const ms = parseDuration(text);
      if (ms !== undefined) {
        read += 1;
        assert.ok(Number.isSafeInteger(ms) && ms > 0, text);
        assert.equal(parseDuration(formatDuration(ms)), ms);
        assert.match(text, /^(?:[1-9]\d{0,5}[dhms])+$/);
      }
    }),
    { numRuns: 3_000 },
  );
  assert.ok(read > 20, `some are durations: ${read}`);
});

test("what nobody may configure is still printed", () => {
  assert.deepEqual([0, -300_000, 250, 1001, 1199.6].map(formatDuration), [
    "0s",
    "-5m",
    "250ms",
    "1s1ms",
    "1s200ms",
  ]);
});
