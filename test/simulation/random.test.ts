import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../src/simulation/random.ts";

const draw = (random: Random, count = 5) => Array.from({ length: count }, () => random.next());

test("equal seeds give equal numbers, others give others", () => {
  assert.deepEqual(draw(new Random(7)), draw(new Random("7")));
  assert.notDeepEqual(draw(new Random(7)), draw(new Random(8)));
});

test("a fork has numbers of its own and changes none of those that it was taken from", () => {
  const one = new Random(7);
  const other = new Random(7);
  draw(other.fork("timer"), 100);
  assert.deepEqual(draw(one), draw(other));
  assert.deepEqual(draw(one.fork("timer")), draw(other.fork("timer")));
  assert.notDeepEqual(draw(one.fork("timer")), draw(one.fork("world")));
});

test("the numbers are spread evenly", () => {
  const random = new Random(1);
  const counts = new Array<number>(10).fill(0);
  for (let index = 0; index < 10_000; index += 1) {
    const drawn = random.integer(0, 9);
    counts[drawn] = (counts[drawn] ?? 0) + 1;
  }
  // Six standard deviations.
  assert.ok(
    counts.every((count) => Math.abs(count - 1_000) < 180),
    String(counts),
  );
});

test("a chance of nothing never comes, one of all always does", () => {
  const random = new Random(1);
  const never = Array.from({ length: 1_000 }, () => random.chance(0));
  const always = Array.from({ length: 1_000 }, () => random.chance(1));
  assert.ok(!never.includes(true));
  assert.ok(!always.includes(false));
});
