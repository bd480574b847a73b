/*
 * Loads the function app given as argument as the worker does, fires its timer once, and tells its parent what that took.
 * Built before it is run: the compiler in Node.js that strips types takes as much memory as all else here.
 */
import { pathToFileURL } from "node:url";
import { provideCoreModule } from "../src/local/functionsHost/coreModule.ts";
import { peakMemoryMiB } from "./peakMemory.ts";

export interface Residence {
  readonly peakMiB: number;
  readonly ms: number;
  readonly userMs: number;
  /** Of the tick's heartbeat. */
  readonly unchanged: number;
}

const [app = ""] = process.argv.slice(2);
const { functions } = provideCoreModule(() => {});
await import(pathToFileURL(app).href);
const tick = [...functions.values()].find(({ metadata }) => metadata.name === "tick");
let unchanged = 0;
const log = (line: string) => {
  if (line.startsWith('{"event":"TickCompleted"')) {
    ({ unchanged } = JSON.parse(line));
  }
};
const context = { info: log, warn: log, error: log, debug: log, invocationId: "bench" };
const startedAt = performance.now();
const cpu = process.cpuUsage();
await tick?.callback({ isPastDue: false }, context);
const residence: Residence = {
  peakMiB: peakMemoryMiB(),
  ms: performance.now() - startedAt,
  userMs: process.cpuUsage(cpu).user / 1000,
  unchanged,
};
console.log(JSON.stringify(residence));
