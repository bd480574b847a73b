import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { after, before, describe } from "node:test";
import { getCACertificates } from "node:tls";
import { pathToFileURL } from "node:url";

/**
 * Runs the tests of many files in this process, one file after another: most of what a file takes by itself is the start of
 * a process and the loading of modules that others load too. Every file that is not called `*.alone.test.ts` is in one of
 * the parts, which take about as long as each other.
 * @param part The file that calls it. Those beside it that are called `part*.test.ts` are the other parts.
 */
export function together(part: string): void {
  const parts = globSync("part*.test.ts", { cwd: dirname(part) }).sort();
  const tests = join(dirname(part), "..");
  for (const file of dealt(filesThatShare(tests), parts.length)[parts.indexOf(basename(part))] ?? []) {
    // A suite, so that hooks that a file has outside of its suites are for its own tests.
    describe(file, async () => {
      let found: ReadonlyMap<string, unknown>;
      before(() => {
        found = shared();
      });
      await import(pathToFileURL(join(tests, file)).href);
      after(() => {
        const changed = differences(found, shared());
        assert.deepEqual(changed, [], `${file} leaves ${changed.join(", ")} changed: ${remedy}`);
      });
    });
  }
}

/** About how many seconds those files take that take longest. A wrong number costs time and nothing else. */
export const slow: Readonly<Record<string, number>> = {
  "simulation/seeds.test.ts": 10,
  "cli/local.test.ts": 8,
  "leases/race.test.ts": 6,
  "local/postgres.test.ts": 4,
  "scripts/package.test.ts": 4,
  "cli/simulate.test.ts": 3,
  "consumers/containerAppCrash.test.ts": 3,
  "delivery/files/replaceTogether.test.ts": 3,
  "leases/blobLeases.test.ts": 3,
  "probes/postgres.test.ts": 3,
  "simulation/kills.test.ts": 3,
  "simulation/mutations.test.ts": 3,
  "config/fuzz.test.ts": 2,
  "consumers/containerAppRestart.test.ts": 2,
  "local/keyVault.test.ts": 2,
  "security/patterns.test.ts": 2,
};

/** The slowest first, each to whoever has least to do. */
function dealt(files: readonly string[], count: number): readonly (readonly string[])[] {
  const seconds = (file: string) => slow[file] ?? 0.25;
  const hands = Array.from({ length: count }, () => ({ files: [] as string[], seconds: 0 }));
  for (const file of files.toSorted((one, other) => seconds(other) - seconds(one))) {
    const hand = hands.reduce((least, next) => (next.seconds < least.seconds ? next : least));
    hand.files.push(file);
    hand.seconds += seconds(file);
  }
  return hands.map(({ files }) => files);
}

const remedy = "put it back, or call the file *.alone.test.ts, which gives it a process of its own.";

/** By their path in `tests`, with forward slashes. */
function filesThatShare(tests: string): string[] {
  return globSync("**/*.test.ts", { cwd: tests })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => !/^(programs|together)\/|\.alone\.test\.ts$/.test(file))
    .sort();
}

/** Those of Node.js: libraries add some of their own when they are loaded. */
const globals = Object.getOwnPropertyNames(globalThis);

/** What the tests of a process have in common and one of them could leave to the next, by name. */
function shared(): Map<string, unknown> {
  return new Map<string, unknown>([
    ...Object.entries(process.env).map(([name, value]) => [`process.env.${name}`, value] as const),
    ...process
      .eventNames()
      .map((name) => [`process.on ${String(name)}`, process.listenerCount(name)] as const),
    ...globals.map((name) => [`globalThis.${name}`, Reflect.get(globalThis, name)] as const),
    ["Date.now", Date.now],
    ["performance.now", performance.now],
    ["AbortSignal.timeout", AbortSignal.timeout],
    ["process.argv", process.argv.join(" ")],
    ["process.cwd", process.cwd()],
    ["process.exitCode", process.exitCode],
    ["trusted authorities", new Set(getCACertificates("default").map((pem) => pem.replace(/\s/g, ""))).size],
  ]);
}

function differences(one: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): string[] {
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names].filter((name) => !Object.is(one.get(name), other.get(name)));
}
