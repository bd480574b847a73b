/*
 * `npm run bench [name…]`: times the targets that the project holds itself to. Each figure stands beside its yardstick,
 * measured in the same run, because only the ratio means something on another machine.
 */
import { coldStart } from "./coldStart.ts";
import { dueTick } from "./dueTick.ts";
import type { Figure } from "./figure.ts";
import { freshTick } from "./freshTick.ts";
import { load } from "./load.ts";
import { simulatedYear } from "./simulatedYear.ts";

const benches = {
  "cold-start": coldStart,
  "fresh-tick": freshTick,
  "due-tick": dueTick,
  load,
  "simulated-year": simulatedYear,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`No bench is called ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}.`);
  process.exit(2);
}
const figures: Figure[] = [];
for (const [name, run] of Object.entries(benches)) {
  if (asked.length === 0 || asked.includes(name)) {
    process.stderr.write(`${name} …\n`);
    figures.push(...(await run()));
  }
}
console.table(Object.fromEntries(figures.map(({ what, ...figure }) => [what, figure])));
