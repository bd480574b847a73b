import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { runSeeds, type SeedResults } from "./runSeeds.ts";
import { chaos } from "./scenario.ts";

const range = { first: 1, count: 300, hours: 3 };

describe(`${range.count} seeds, ${range.hours} virtual hours each:`, () => {
  let results: SeedResults;
  before(async () => {
    results = await runSeeds(range);
  });

  test("no rule is broken", () => {
    assert.deepEqual(results.broken, []);
  });

  for (const kind of [
    "tick lost",
    "tick late",
    "process recycled",
    "killed before a call",
    "killed after a call",
    "call: refuses",
    "call: throttles",
    "call: unreachable",
    "call: hangs",
    "call: losesAnswers",
    "outage",
    "silent timer",
    "stuck cache",
    "other writer",
    "broken app",
    "app scaled",
    "version disabled",
    "secret deleted",
    "secret overwritten",
    "rotation paused",
    "run by hand",
    "sign-in",
    "configuration changed",
  ]) {
    test(`it does happen: ${kind}`, () => {
      assert.ok((results.injected[kind] ?? 0) >= 10, String(results.injected[kind]));
    });
  }

  for (const [kind, least] of [
    ["served", 3_000],
    ["written", 3_000],
    ["tickEnded", 30_000],
    ["clear tick", 12_000],
    ["appUpdated", 1_200],
    ["restartAsked", 600],
    ["refreshTokenSpent", 700],
    ["hourPassed", 900],
  ] as const) {
    test(`it is judged: ${kind}`, () => {
      assert.ok((results.judged[kind] ?? 0) >= least, String(results.judged[kind]));
    });
  }
});

test("equal seeds take equal courses", async () => {
  const courses = await Promise.all(
    [1, 2].map(async () => {
      const simulation = chaos(7, 12);
      const heard: string[] = [];
      const { observer, world } = simulation;
      const { versionWritten } = observer;
      observer.versionWritten = (writing) => {
        heard.push(`${world.clock.now()} ${writing.name} ${writing.version.tags?.operation}`);
        versionWritten.call(observer, writing);
      };
      await simulation.run();
      return { heard, injected: [...simulation.faults.injected], calls: world.counter.all };
    }),
  );
  assert.ok(Number(courses[0]?.heard.length) > 50);
  assert.deepEqual(courses[0], courses[1]);
});
