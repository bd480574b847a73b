import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRotator } from "../src/index.ts";
import { startEmbeddedAzure } from "../src/local/azure.ts";
import type { Figure } from "./bench.ts";
import { manyRotations } from "./rotations.ts";

const secrets = 10_000;
const targetMiB = 100;

/** A tick over ten thousand fresh secrets, in a process of its own: its peak memory, and what it asked of the vault. */
export async function freshTick(): Promise<Figure[]> {
  const file = manyRotations(secrets);
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  await using azure = await startEmbeddedAzure({ caCertificateFile: join(directory, "ca.pem") });
  {
    using _trust = azure.trustInThisProcess();
    Object.assign(process.env, azure.environment);
    await (await createRotator({ file })).tick({ deadlineMs: 30 * 60_000 });
  }
  azure.requests.clear();
  const child = fork(fileURLToPath(new URL("residentMemory.ts", import.meta.url)), [file], {
    env: { PATH: process.env.PATH, ...azure.environment },
    execArgv: [],
  });
  const [{ peakMiB, ms, fresh }] = (await once(child, "message")) as [
    { peakMiB: number; ms: number; fresh: number },
  ];
  const { counts } = azure.requests;
  await Promise.all([rm(directory, { recursive: true }), rm(dirname(file), { recursive: true })]);
  const read = counts["keyvault.getSecret"] ?? 0;
  if (fresh !== secrets || read > 0) {
    throw new Error(`${fresh} of ${secrets} were fresh, and ${read} values were read.`);
  }
  return [
    {
      what: `a tick with ${secrets} fresh secrets (${(ms / 1000).toFixed(1)} s, 0 values read)`,
      measured: `${peakMiB.toFixed(0)} MiB resident at most`,
      yardstick: `${targetMiB} MiB`,
      ratio: (peakMiB / targetMiB).toFixed(2),
      target: "<= 1",
    },
  ];
}
