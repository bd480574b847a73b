import assert from "node:assert/strict";
import { test } from "node:test";
import { chaos } from "./scenario.ts";

const hourMs = 3_600_000;
const seeds = 40;

/** One line that shows a broken rule and how to see it again. */
function replay(
  seed: number,
  { invariant, at, what }: { invariant: string; at: number; what: string },
): string {
  return `seed ${seed}, ${new Date(at).toISOString()}: ${invariant}: ${what}`;
}

test(`no rule is broken in ${seeds} days with everything going wrong, a seed each`, async () => {
  const broken: string[] = [];
  let faults = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    const simulation = chaos(seed, 24 * hourMs);
    await simulation.run();
    broken.push(...simulation.observer.violations.map((violation) => replay(seed, violation)));
    faults += [...simulation.faults.injected.values()].reduce((sum, count) => sum + count, 0);
  }
  assert.deepEqual(broken, []);
  assert.ok(faults > 1_000, `only ${faults} faults were injected`);
});

test("equal seeds take equal courses", async () => {
  const [one, other] = [chaos(7, 6 * hourMs), chaos(7, 6 * hourMs)];
  await one.run();
  await other.run();
  assert.deepEqual([...one.faults.injected], [...other.faults.injected]);
});
