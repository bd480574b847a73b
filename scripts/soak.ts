/*
 * A day of the whole product in a real process, in minutes: real SDK clients over TLS against the embedded Azure, on a clock
 * that jumps from tick to tick. After every virtual hour the process says how much memory is in use once garbage is
 * collected; it must not grow. `npm run soak -- --hours 24`
 */
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock } from "../src/clock.ts";
import { VirtualClock } from "../src/simulation/virtualClock.ts";
import { memoryTrend } from "./memoryTrend.ts";
import { startSoakAzure } from "./soakAzure.ts";
import type { FromSoak, ToSoak } from "./soakTicks.ts";

const { values } = parseArgs({
  options: {
    hours: { type: "string", default: "24" },
    /** KiB that the process loses on purpose every hour: the verdict must then be a failure. */
    leak: { type: "string", default: "0" },
    /** Hours after which the process writes a heap snapshot into the working directory: `--snapshots 12,48`. */
    snapshots: { type: "string", default: "" },
  },
});
const hours = Number(values.hours);
/** What the first hours leave behind are caches that fill and code that is compiled. */
const settledAfterHours = 8;
/** In KiB an hour. */
const mostGrowth = 25;

const directory = await mkdtemp(join(tmpdir(), "soak-"));
const clock = new VirtualClock(systemClock.now());
await using world = await startSoakAzure(clock, directory);
const { azure, ingestion } = world;

const child = fork(
  fileURLToPath(new URL("soakTicks.ts", import.meta.url)),
  [world.file, values.hours, values.leak, values.snapshots],
  { execArgv: ["--expose-gc"], env: { PATH: process.env.PATH, ...world.environment } },
);
const samples: number[] = [];
let failed = 0;
child.on("message", (message: FromSoak) => {
  if ("now" in message) {
    clock.set(message.now);
    child.send({ now: message.now } satisfies ToSoak);
    return;
  }
  samples.push(message.usedKiB);
  failed = message.failed;
  // What the embedded Azure notes is not what is measured, and need not grow either.
  azure.requests.clear();
  ingestion.clear();
  const hour = String(samples.length).padStart(3);
  console.log(
    `${hour} h  ${(message.usedKiB / 1024).toFixed(2)} MiB  ${message.ticks} ticks, ${failed} failed rotations`,
  );
});
child.send({ now: clock.now() } satisfies ToSoak);
const exitCode = await new Promise<number | null>((resolve) => child.on("exit", resolve));
await rm(directory, { recursive: true });

const growth = memoryTrend(samples.slice(settledAfterHours));
const versions = azure.vault.secrets.list().reduce((sum, secret) => sum + secret.versions.length, 0);
const { events, metrics } = ingestion.counts;
console.log(
  `${samples.length} virtual hours, ${versions} versions written, ${events} events and ${metrics} metrics sent.`,
  `From hour ${settledAfterHours} on memory grew by ${growth.toFixed(1)} KiB an hour; ${mostGrowth} are allowed.`,
);
const isGood = exitCode === 0 && samples.length === hours && failed === 0 && growth <= mostGrowth;
process.exitCode = isGood ? 0 : 1;
