/*
 * Runs the simulation over many seeds: `npm run simulate:nightly -- --seeds 5000`. Every seed decides a configuration and
 * what goes wrong around it. One that breaks a rule is printed in a line that shows it again; the exit code is then 1.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../src/clock.ts";
import { invariants } from "../src/simulation/invariants.ts";
import { runSeeds } from "../test/simulation/runSeeds.ts";
import { chaos } from "../test/simulation/scenario.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    first: { type: "string", default: "1" },
    hours: { type: "string", default: "48" },
    /** Only this one. */
    seed: { type: "string" },
  },
});
const first = Number(values.seed ?? values.first);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const hours = Number(values.hours);

if (values.seed !== undefined) {
  const simulation = chaos(first, hours);
  await simulation.run();
  for (const { at, invariant, where, what } of simulation.observer.violations) {
    console.log(`${new Date(at).toISOString()} ${invariant}: ${where} ${what}`);
  }
}
const startedAt = systemClock.now();
let done = 0;
const results = await runSeeds({ first, count, hours }, (broken) => {
  done += 1;
  if (broken !== undefined) {
    console.log(broken);
  }
  if (process.stderr.isTTY) {
    process.stderr.write(`\r${done} of ${count} seeds`);
  }
});
const seconds = Math.round((systemClock.now() - startedAt) / 1000);
const years = ((count * hours) / (24 * 365)).toFixed(1);
const rules = Object.values(invariants).flatMap((table) => Object.keys(table));
console.log(
  `\n${count} seeds from ${first} on, ${hours} virtual hours each: ${years} virtual years, ${results.ticks} ticks, ${results.calls} calls, in ${seconds} s.`,
);
console.table(sorted(results.injected));
console.table(sorted(results.judged));
console.log(`${rules.length} rules (${rules.join(", ")}): ${results.broken.length} seeds broke one.`);
process.exitCode = results.broken.length === 0 ? 0 : 1;

function sorted(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b)));
}
