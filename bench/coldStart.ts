import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { buildFunctions } from "../scripts/build.ts";
import { writeChecked } from "../src/config/checked.ts";
import { parseConfiguration } from "../src/config/parse.ts";
import { startEmbeddedAzure } from "../src/local/azure.ts";
import type { Figure } from "./figure.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const rounds = 21;
/** Of a bare process, beside the network. */
const target = 2.5;

const text = JSON.stringify({
  rotations: {
    app: {
      source: { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" },
      outputs: [{ secret: "token" }],
    },
  },
});

/**
 * Process start to the first token in the vault: the app that is deployed, the same without a compile cache, and the same
 * code unbundled. What the calls themselves take is measured with a program that makes them and does nothing else.
 */
export async function coldStart(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  try {
    const app = join(directory, "functions");
    await buildFunctions(app);
    // What plays the worker is not measured: it is no TypeScript that Node.js would have to take apart first.
    await build({
      input: [join(root, "bench/oneTick.ts"), join(root, "bench/bareCalls.ts")],
      platform: "node",
      logLevel: "warn",
      output: { dir: directory, entryFileNames: "[name].mjs" },
    });
    const oneTick = join(directory, "oneTick.mjs");
    const start = {
      bundled: [[oneTick, join(app, "app.js")], {}],
      uncached: [[oneTick, join(app, "app.js")], { NODE_DISABLE_COMPILE_CACHE: "1" }],
      unbundled: [[oneTick, join(root, "functions/tick.ts")], {}],
      bare: [[join(directory, "bareCalls.mjs")], {}],
    } as const;
    const times = { bundled: [], uncached: [], unbundled: [], bare: [], process: [] } as {
      [Name in keyof typeof start | "process"]: number[];
    };
    // In turn, so that a machine that slows down slows all of them down. The first round only warms up.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [name, [args, environment]] of Object.entries(start)) {
        const ms = await untilFirstToken(directory, args, environment);
        times[name as keyof typeof start].push(...(round > 0 ? [ms] : []));
      }
      times.process.push(...(round > 0 ? [await run(["-e", "0"], {})] : []));
    }
    const node = median(times.process);
    const network = median(times.bare) - node;
    const figure = (what: string, measured: readonly number[], wanted: string): Figure => ({
      what: `cold start to the first token, ${what}`,
      measured: `${median(measured).toFixed(0)} ms`,
      yardstick: `node -e 0: ${node.toFixed(0)} ms; network: ${network.toFixed(0)} ms`,
      ratio: ((median(measured) - network) / node).toFixed(2),
      target: wanted,
    });
    return [
      figure("bundled", times.bundled, `<= ${target}`),
      figure("bundled, no compile cache", times.uncached, ""),
      figure("unbundled", times.unbundled, ""),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Milliseconds from the start of a process to its first write in a vault that was empty. */
async function untilFirstToken(
  directory: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  await using azure = await startEmbeddedAzure({ caCertificateFile: join(directory, "ca.pem") });
  const file = join(directory, "rotations.json");
  await writeFile(file, text);
  const surroundings = { file, environment: azure.environment };
  await writeChecked(file, text, parseConfiguration(text, surroundings), azure.environment);
  const { promise: written, resolve } = Promise.withResolvers<number>();
  azure.faults.onCall({
    afterEffect: ({ operation }) => {
      if (operation === "keyvault.setSecret") {
        resolve(performance.now());
      }
    },
  });
  // Where the compile cache goes, as in the cloud.
  const temporary = join(directory, "tmp");
  await mkdir(temporary, { recursive: true });
  const startedAt = performance.now();
  const ended = run(args, {
    ...azure.environment,
    ROTATIONS_FILE: file,
    TMPDIR: temporary,
    TEMP: temporary,
    ...environment,
  });
  const writtenAt = await Promise.race([written, ended.then(() => Number.NaN)]);
  await ended;
  if (Number.isNaN(writtenAt)) {
    throw new Error(`node ${args.join(" ")} ended without a token in the vault.`);
  }
  return writtenAt - startedAt;
}

/** Milliseconds that a Node.js process takes from start to end. */
async function run(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code] = await once(child, "exit");
  if (code !== 0) {
    throw new Error(`node ${args.join(" ")} exited with ${code}.`);
  }
  return performance.now() - startedAt;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
