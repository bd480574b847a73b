import { availableParallelism } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { chaos, replayLine } from "./scenario.ts";

export interface SeedRange {
  readonly first: number;
  readonly count: number;
  /** Virtual hours of each. */
  readonly hours: number;
}

/** What a range of seeds came to. */
export interface SeedResults {
  /** For every seed that broke a rule, one line that shows it again. */
  readonly broken: readonly string[];
  /** What went wrong in their worlds, by kind. */
  readonly injected: Readonly<Record<string, number>>;
  /** How many observations were judged, by kind. */
  readonly judged: Readonly<Record<string, number>>;
  readonly ticks: number;
  readonly calls: number;
}

/** Runs every seed of the range, on all processors. In threads of their own: the test runner watches every promise of its. */
export async function runSeeds(
  range: SeedRange,
  onSeed: (line: string | undefined) => void = () => {},
): Promise<SeedResults> {
  const workers = Math.min(availableParallelism(), range.count);
  const results = await Promise.all(
    Array.from({ length: workers }, (_, index) =>
      inWorker({ ...range, step: workers, offset: index }, onSeed),
    ),
  );
  return {
    broken: results.flatMap(({ broken }) => broken),
    injected: sum(results.map(({ injected }) => injected)),
    judged: sum(results.map(({ judged }) => judged)),
    ticks: results.reduce((all, { ticks }) => all + ticks, 0),
    calls: results.reduce((all, { calls }) => all + calls, 0),
  };
}

/** Every `step`th seed of the range, beginning with the one at `offset`. */
interface Share extends SeedRange {
  readonly step: number;
  readonly offset: number;
}

type Message = { readonly seed: string | undefined } | { readonly results: SeedResults };

function inWorker(share: Share, onSeed: (line: string | undefined) => void): Promise<SeedResults> {
  const { promise, resolve, reject } = Promise.withResolvers<SeedResults>();
  const worker = new Worker(new URL(import.meta.url), { workerData: share });
  worker.on("error", reject);
  worker.on("message", (message: Message) =>
    "results" in message ? resolve(message.results) : onSeed(message.seed),
  );
  return promise;
}

async function runShare({ first, count, hours, step, offset }: Share): Promise<SeedResults> {
  const broken: string[] = [];
  const counts: Record<"injected" | "judged", Record<string, number>[]> = { injected: [], judged: [] };
  let ticks = 0;
  let calls = 0;
  for (let seed = first + offset; seed < first + count; seed += step) {
    const simulation = chaos(seed, hours);
    await simulation.run();
    const line = simulation.observer.violations.length === 0 ? undefined : replayLine(simulation, hours);
    broken.push(...(line === undefined ? [] : [line]));
    counts.injected.push(Object.fromEntries(simulation.faults.injected));
    counts.judged.push(Object.fromEntries(simulation.observer.judged));
    ticks += simulation.ticks;
    calls += simulation.world.counter.all;
    parentPort?.postMessage({ seed: line } satisfies Message);
  }
  return { broken, injected: sum(counts.injected), judged: sum(counts.judged), ticks, calls };
}

function sum(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const [kind, count] of parts.flatMap((part) => Object.entries(part))) {
    all[kind] = (all[kind] ?? 0) + count;
  }
  return all;
}

if (!isMainThread && parentPort !== null && workerData !== null) {
  parentPort.postMessage({ results: await runShare(workerData as Share) } satisfies Message);
}
