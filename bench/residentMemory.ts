/* One tick over the configuration given as argument; tells its parent the peak of its resident memory. */
import { createRotator } from "../src/index.ts";

const [file = ""] = process.argv.slice(2);
const startedAt = performance.now();
const rotator = await createRotator({ file });
const { rotations } = await rotator.tick();
process.send?.({
  peakMiB: process.resourceUsage().maxRSS / 1024,
  ms: performance.now() - startedAt,
  fresh: rotations.filter(({ outcome }) => outcome === "Fresh").length,
});
process.disconnect?.();
