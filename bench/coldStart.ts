import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildFunctions } from "../scripts/build.ts";
import { startEmbeddedAzure } from "../src/local/azure.ts";
import type { Figure } from "./bench.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const rounds = 15;

/** Process start to the first token in the vault: the bundle that is deployed, the same code unbundled, and bare Node. */
export async function coldStart(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  try {
    await buildFunctions(join(directory, "functions"));
    const file = join(directory, "rotations.json");
    const rotations = {
      app: {
        source: { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" },
        outputs: [{ secret: "token" }],
      },
    };
    await writeFile(file, JSON.stringify({ rotations }));
    const bundled: number[] = [];
    const unbundled: number[] = [];
    const bare: number[] = [];
    // In turn, so that a machine that slows down slows all three down. The first round only warms up.
    for (let round = 0; round <= rounds; round += 1) {
      const times = [
        await untilFirstToken(directory, file, join(directory, "functions/tick.js")),
        await untilFirstToken(directory, file, join(root, "functions/tick.ts")),
        await run(["-e", "0"], {}),
      ] as const;
      if (round > 0) {
        bundled.push(times[0]);
        unbundled.push(times[1]);
        bare.push(times[2]);
      }
    }
    const [fast, slow, yardstick] = [median(bundled), median(unbundled), median(bare)];
    const figure = (what: string, ms: number, target: string): Figure => ({
      what,
      measured: `${ms.toFixed(0)} ms`,
      yardstick: `node -e 0: ${yardstick.toFixed(0)} ms`,
      ratio: (ms / yardstick).toFixed(2),
      target,
    });
    return [
      figure("cold start to the first token, bundled", fast, "<= 2.5"),
      figure("cold start to the first token, unbundled", slow, ""),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Milliseconds from the start of a process to its first write in a vault that was empty. */
async function untilFirstToken(directory: string, file: string, app: string): Promise<number> {
  await using azure = await startEmbeddedAzure({ caCertificateFile: join(directory, "ca.pem") });
  const { promise: written, resolve } = Promise.withResolvers<number>();
  azure.faults.onCall({
    afterEffect: ({ operation }) => {
      if (operation === "keyvault.setSecret") {
        resolve(performance.now());
      }
    },
  });
  const startedAt = performance.now();
  const ended = run([join(root, "bench/oneTick.ts"), app], { ...azure.environment, ROTATIONS_FILE: file });
  const writtenAt = await Promise.race([written, ended.then(() => Number.NaN)]);
  await ended;
  if (Number.isNaN(writtenAt)) {
    throw new Error(`${app} ended without a token in the vault.`);
  }
  return writtenAt - startedAt;
}

/** Milliseconds that a Node.js process takes from start to end. */
async function run(args: readonly string[], environment: Record<string, string>): Promise<number> {
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
