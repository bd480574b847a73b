import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "rolldown";
import { buildFunctions } from "../scripts/build.ts";
import { writeChecked } from "../src/config/checked.ts";
import { loadConfiguration } from "../src/config/load.ts";
import { versionTags } from "../src/core/tags.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../src/local/azure.ts";
import { startIngestion } from "../src/local/ingestion.ts";
import { SecretValue } from "../src/secretValue.ts";
import type { Figure } from "./figure.ts";
import type { Residence } from "./residentMemory.ts";
import { manyRotations } from "./rotations.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const secrets = 10_000;
const bytesInMB = 1_000_000;
const targetMB = 100;

/**
 * A tick over ten thousand fresh secrets, by what is deployed and in a process of its own: its peak memory, and what it
 * asked of the vault. Beside it the same with one secret, which is what the process takes before it has any work.
 */
export async function freshTick(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  try {
    const app = join(directory, "functions/app.js");
    await buildFunctions(dirname(app));
    const child = join(directory, "residentMemory.mjs");
    await build({
      input: join(root, "bench/residentMemory.ts"),
      platform: "node",
      logLevel: "warn",
      output: { file: child },
    });
    const run = (count: number, sink: Sink) => tickOver(count, { directory, child, app, sink });
    // The first run puts what is compiled into the cache, as the first instance of a deployment does.
    await run(1, "log");
    const least = await run(1, "log");
    const figure = async (what: string, sink: Sink, target: string): Promise<Figure> => {
      const { peakMiB, ms, userMs } = await run(secrets, sink);
      return {
        what: `${what}: ${(ms / 1000).toFixed(1)} s, ${(userMs / 1000).toFixed(1)} s of CPU, 0 values read`,
        measured: `${megabytes(peakMiB).toFixed(0)} MB resident at most`,
        yardstick: `${targetMB} MB; with one secret ${megabytes(least.peakMiB).toFixed(0)} MB`,
        ratio: (megabytes(peakMiB) / targetMB).toFixed(2),
        target,
      };
    };
    return [
      await figure(`a tick with ${secrets} fresh secrets`, "log", "<= 1"),
      await figure(`a tick with ${secrets} fresh secrets, Application Insights`, "insights", ""),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Where the events of the tick go to: the host's log alone, or an Application Insights component as well. */
type Sink = "log" | "insights";

interface Course {
  readonly directory: string;
  readonly child: string;
  readonly app: string;
  readonly sink: Sink;
}

async function tickOver(count: number, { directory, child, app, sink }: Course): Promise<Residence> {
  const file = manyRotations(count);
  await using azure = await startEmbeddedAzure({ caCertificateFile: join(directory, "ca.pem") });
  const { AZURE_CLIENT_ID: clientId = "" } = azure.environment;
  const insights = sink === "log" ? undefined : await startIngestion(azure, azure.issuer, { clientId });
  await fill(azure, file);
  const { stdout } = await promisify(execFile)(process.execPath, [child, app], {
    env: { PATH: process.env.PATH, ...azure.environment, ...insights?.environment, ROTATIONS_FILE: file },
  });
  await rm(dirname(file), { recursive: true });
  const told: Residence = JSON.parse(stdout);
  const read = azure.requests.counts["keyvault.getSecret"] ?? 0;
  if (told.unchanged !== count || read > 0) {
    throw new Error(`${told.unchanged} of ${count} were fresh, and ${read} values were read.`);
  }
  return told;
}

/**
 * Puts the checked copy of the configuration beside it, as packaging does, and a fresh version of every output into the
 * vault: to have the rotator write so many takes it minutes. They are of several ticks, as jitter spreads them.
 */
async function fill({ vault, environment }: EmbeddedAzure, file: string): Promise<void> {
  const configuration = await loadConfiguration({ file, environment });
  await writeChecked(file, await readFile(file, "utf8"), configuration, environment);
  const now = Date.now();
  const ticks = Array.from({ length: 12 }, (_, index) => ({
    token: new SecretValue(`token ${index}`),
    operation: randomUUID(),
    issuedOn: new Date(now - index * 300_000),
  }));
  for (const [index, { name, outputs }] of configuration.rotations.entries()) {
    const { token, operation, issuedOn } = ticks[index % ticks.length] as (typeof ticks)[number];
    const subject = "33333333-3333-3333-3333-333333333333";
    const expires = Math.floor(issuedOn.getTime() / 1000) + 24 * 60 * 60;
    const fingerprint = token.fingerprint();
    for (const output of outputs) {
      const spec = "spec" in output ? output.spec : "";
      const hashes = { spec, token: fingerprint, content: fingerprint };
      const tags = versionTags({ rotation: name, ...hashes, operation, subject, issuedOn, sequence: 1 });
      vault.secrets.set(output.secret, token, { contentType: "text/plain", expires, tags });
    }
  }
}

function megabytes(mebibytes: number): number {
  return (mebibytes * 2 ** 20) / bytesInMB;
}
