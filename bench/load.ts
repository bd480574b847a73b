import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type EmbeddedAzure, startEmbeddedAzure } from "../src/local/azure.ts";
import type { Fault } from "../src/local/faults.ts";
import { publishedVaultLimits } from "../src/local/vaultThrottle.ts";
import type { Figure } from "./figure.ts";
import { manyRotations } from "./rotations.ts";

const secrets = 10_000;
const heapMiB = 256;
const vaults = ["one", "two", "three", "four", "five"];

/** Of a thousand calls to a vault, how many meet which fault. */
const faults: readonly (readonly [perThousand: number, fault: Fault])[] = [
  [5, { kind: "answer", status: 503 }],
  [5, { kind: "answer", status: 429, retryAfter: 1 }],
  [5, { kind: "reset" }],
  [5, { kind: "lostResponse" }],
];

interface Course {
  readonly ticks: number;
  readonly failures: number;
  readonly fresh: number;
  readonly ms: number;
  readonly peakMiB: number;
}

/**
 * Ten thousand secrets to write in five vaults that answer 429 beyond their published limits, with one call in fifty at
 * fault; ticks go on until every output is fresh. The rotator has a process of its own. Nothing may be lost, and nothing
 * written twice, also where the answer to a write was lost. The ideal is what the limits leave: in every vault 300 writes
 * at once, and 300 more every ten seconds.
 */
export async function load(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  await using azure = await startEmbeddedAzure({
    caCertificateFile: join(directory, "ca.pem"),
    vaults: vaults.map((name) => ({ name, limits: publishedVaultLimits })),
  });
  const injected = injectFaults(azure);
  const file = manyRotations(
    secrets,
    [...azure.vaults.values()].map(({ url }) => url),
  );
  const child = fork(fileURLToPath(new URL("loadTicks.ts", import.meta.url)), [file], {
    env: { PATH: process.env.PATH, ...azure.environment },
    // What an instance of 512 MiB can give; without a limit Node.js takes what the machine has before it tidies up.
    execArgv: [`--max-old-space-size=${heapMiB}`],
  });
  const ended = once(child, "exit");
  const told = await Promise.race([once(child, "message"), ended.then(() => undefined)]);
  await ended;
  await Promise.all([rm(directory, { recursive: true }), rm(dirname(file), { recursive: true })]);
  if (told === undefined) {
    throw new Error("The rotator's process ended before all were fresh: out of memory, or a defect.");
  }
  const [{ ticks, failures, fresh, ms, peakMiB }] = told as [Course];

  const versions = [...azure.vaults.values()].flatMap(({ secrets }) =>
    secrets.list().map((secret) => secret.versions.length),
  );
  const written = versions.reduce((sum, count) => sum + count, 0);
  if (fresh !== secrets || versions.length !== secrets || written !== secrets) {
    throw new Error(`${fresh} of ${secrets} are fresh; ${written} versions of ${versions.length} secrets.`);
  }
  const { counts, total } = azure.requests;
  const met = injected.reduce((sum, { applied }) => sum + applied, 0);
  const perVault = secrets / vaults.length;
  const idealMs = Math.floor((perVault - 1) / publishedVaultLimits.creates) * 10_000;
  console.error(
    `  ${ticks} ticks, ${failures} failures made good, ${met} faults met, ${written} versions, calls:`,
    counts,
  );
  const what = `${secrets} due secrets in ${vaults.length} vaults, ${met} faults`;
  return [
    {
      what: `${what}: time until all are fresh`,
      measured: `${(ms / 1000).toFixed(0)} s`,
      yardstick: `the vaults' limits: ${(idealMs / 1000).toFixed(0)} s`,
      ratio: (ms / idealMs).toFixed(2),
      target: "<= 2",
    },
    {
      what: `${what}: calls`,
      measured: String(total),
      yardstick: `one for each secret: ${secrets}`,
      ratio: (total / secrets).toFixed(2),
      target: "",
    },
    {
      what: `${what}: memory`,
      measured: `${peakMiB.toFixed(0)} MiB resident at most`,
      yardstick: "an instance of the smallest size: 512 MiB",
      ratio: (peakMiB / 512).toFixed(2),
      target: "<= 0.9",
    },
  ];
}

/** The same calls in every run, as far as they come in the same order. */
function injectFaults(azure: EmbeddedAzure): readonly { readonly applied: number }[] {
  let seed = 1;
  const perThousand = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return (seed >>> 8) % 1000;
  };
  return faults.map(([share, fault]) =>
    azure.faults.inject({ ...fault, operation: "keyvault.*", match: () => perThousand() < share }),
  );
}
