import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SimulationSummary } from "../src/simulation/summary.ts";
import type { Figure } from "./figure.ts";

const rotations = 20;
const targetSeconds = 60;
const group = "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/Microsoft.App";
const faults = ["--chaos", "--ticks-lost", "10%", "--calls-failed", "2%", "--outage", "identity:2h/30d"];

const tokenEndpoint = (index: number) => `https://provider-${index}.example.com/token`;
/** Sources of four kinds, in turn. */
const sources = [
  (index: number) => ({ kind: "entra", scope: `https://app-${index}.example.org/.default` }),
  (index: number) => ({
    kind: "oauth-client-credentials",
    tokenEndpoint: tokenEndpoint(index),
    clientId: "rotator",
    clientSecret: { secret: `client-secret-${index}` },
  }),
  (index: number) => ({
    kind: "oauth-refresh-token",
    tokenEndpoint: tokenEndpoint(index),
    clientId: "rotator",
    scopes: ["files", "offline_access"],
    refreshToken: { secret: `refresh-token-${index}` },
  }),
  (index: number) => ({
    kind: "oci-session",
    domain: `https://idcs-${index}.identity.oraclecloud.com`,
    clientId: "rotator",
    subject: { kind: "entra", scope: `api://oci-${index}/.default` },
    keyPair: { secret: `key-pair-${index}` },
  }),
];

/** `simulate --year` as a user calls it, with all that it can let go wrong. No rule may be broken. */
export async function simulatedYear(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "bench-"));
  const file = join(directory, "rotations.json");
  await writeFile(file, JSON.stringify({ rotations: mixedRotations() }));
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  const startedAt = performance.now();
  const { stdout, stderr } = await run([main, "simulate", "--year", ...faults, "--json", "--config", file]);
  const seconds = (performance.now() - startedAt) / 1000;
  await rm(directory, { recursive: true });
  if (stdout === "") {
    throw new Error(`The simulation said nothing but: ${stderr}`);
  }
  const { days, ticks, calls, readers, violations } = JSON.parse(stdout) as SimulationSummary;
  const [first] = violations;
  if (
    first !== undefined ||
    days !== 365 ||
    new Set(readers.map(({ output }) => output)).size !== rotations
  ) {
    throw new Error(
      `${days} days of ${readers.length} readers; ${JSON.stringify(first ?? "no rule broken")}`,
    );
  }
  return [
    {
      what: `a simulated year of ${rotations} rotations with faults (${ticks} ticks, ${calls} calls, no rule broken)`,
      measured: `${seconds.toFixed(0)} s`,
      yardstick: `${targetSeconds} s`,
      ratio: (seconds / targetSeconds).toFixed(2),
      target: "<= 1",
    },
  ];
}

function mixedRotations(): object {
  return Object.fromEntries(
    Array.from({ length: rotations }, (_, index) => {
      const secret = `token-${index}`;
      const source = sources[index % sources.length]?.(index);
      const format = index % 4 === 3 ? { format: "oci-bundle" } : {};
      const app = `${group}/containerApps/app-${index}`;
      // Every fifth one, so that all kinds of sources have an app.
      const consumers =
        index % 5 === 1 ? [{ kind: "container-app", app, secret: "token", output: secret }] : [];
      return [`r${index}`, { source, outputs: [{ secret, ...format }], consumers }];
    }),
  );
}

/** The exit code is 1 where readers came to hold expired tokens, which outages that are longer than a margin bring about. */
function run(argv: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { maxBuffer: 2 ** 24 }, (_error, stdout, stderr) =>
      resolve({ stdout, stderr }),
    );
  });
}
