/* Ticks over the configuration given as argument until nothing fails and nothing is due; tells its parent how it went. */
import { createRotator, isFailure } from "../src/index.ts";
import { peakMemoryMiB } from "./peakMemory.ts";

const [file = ""] = process.argv.slice(2);
const rotator = await createRotator({ file });
const startedAt = performance.now();
let ticks = 0;
let failures = 0;
let fresh = 0;
do {
  ticks += 1;
  const { rotations } = await rotator.tick({ deadlineMs: 15 * 60_000 });
  failures += rotations.filter(({ outcome }) => isFailure(outcome)).length;
  fresh = rotations.filter(({ outcome }) => outcome === "Fresh").length;
  if (fresh === rotations.length) {
    break;
  }
} while (ticks < 20);
process.send?.({
  ticks,
  failures,
  fresh,
  ms: performance.now() - startedAt,
  peakMiB: peakMemoryMiB(),
});
process.disconnect?.();
