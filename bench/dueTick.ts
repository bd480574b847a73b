import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { createRotator } from "../src/index.ts";
import { startEmbeddedAzure } from "../src/local/azure.ts";
import { publishedVaultLimits } from "../src/local/vaultThrottle.ts";
import type { Figure } from "./figure.ts";
import { manyRotations } from "./rotations.ts";

const secrets = 1_000;
const latencyMs = 30;

/**
 * A tick with a thousand secrets to write, 30 ms a call, against a vault that answers 429 beyond its published limits. The
 * ideal is what those limits leave: 300 writes at once, 300 more every ten seconds, one call for the last.
 */
export async function dueTick(): Promise<Figure[]> {
  const file = manyRotations(secrets);
  await using azure = await startEmbeddedAzure({ vaults: [{ name: "local", limits: publishedVaultLimits }] });
  using _trust = azure.trustInThisProcess();
  Object.assign(process.env, azure.environment);
  azure.faults.inject({ operation: "keyvault.*", kind: "latency", ms: latencyMs });
  const rotator = await createRotator({ file });
  const startedAt = performance.now();
  const { rotations } = await rotator.tick();
  const ms = performance.now() - startedAt;
  await rm(dirname(file), { recursive: true });
  const written = rotations.filter(({ outcome }) => outcome === "Rotated").length;
  const throttled = azure.requests.all.filter(({ status }) => status === 429).length;
  if (written !== secrets || throttled > 0) {
    throw new Error(`${written} of ${secrets} were written, and ${throttled} calls were throttled.`);
  }
  const idealMs = Math.floor((secrets - 1) / publishedVaultLimits.creates) * 10_000 + latencyMs;
  return [
    {
      what: `a tick with ${secrets} due secrets, ${latencyMs} ms a call`,
      measured: `${(ms / 1000).toFixed(1)} s`,
      yardstick: `the vault's limits: ${(idealMs / 1000).toFixed(1)} s`,
      ratio: (ms / idealMs).toFixed(2),
      target: "<= 1.25",
    },
  ];
}
