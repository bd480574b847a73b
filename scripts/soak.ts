/*
 * A day of the whole product in a real process, in minutes: real SDK clients over TLS against the embedded Azure, on a clock
 * that jumps from tick to tick. After every virtual hour the process says how much memory is in use once garbage is
 * collected; it must not grow. `node scripts/soak.ts [HOURS]`
 */
import { fork } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../src/clock.ts";
import { startEmbeddedAzure } from "../src/local/azure.ts";
import { startContainerApps } from "../src/local/containerApps.ts";
import { VirtualClock } from "../src/simulation/virtualClock.ts";
import type { FromSoak, ToSoak } from "./soakTicks.ts";

const hours = Number(process.argv[2] ?? 24);
const rotations = 40;
const hourSeconds = 3_600;
/** What the first hours leave behind are caches that fill and code that is compiled. */
const settledAfterHours = 6;
const mostGrowthMiB = 1;

const appId =
  "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.App/containerApps/app";

const directory = await mkdtemp(join(tmpdir(), "soak-"));
const clock = new VirtualClock(systemClock.now());
await using azure = await startEmbeddedAzure({
  clock,
  caCertificateFile: join(directory, "ca.pem"),
  tokens: { lifetimeSeconds: hourSeconds },
});
const names = Array.from({ length: rotations }, (_, index) => `r${index}`);
for (const name of names) {
  azure.issuer.register({ identifier: `https://${name}.example.org` });
}
const arm = await startContainerApps(azure, azure.issuer, { vaults: azure.vaults.values() });
arm.addApp({
  id: appId,
  secrets: [{ name: "token", value: "not-yet" }],
  template: { containers: [{ name: "app", env: [{ name: "TOKEN", secretRef: "token" }] }] },
});
const file = join(directory, "rotations.json");
await writeFile(
  file,
  JSON.stringify({
    rotations: Object.fromEntries(
      names.map((name, index) => [
        name,
        {
          source: { kind: "entra", scope: `https://${name}.example.org/.default` },
          outputs: [{ secret: `token-${name}` }],
          consumers:
            index === 0
              ? [{ kind: "container-app", app: appId, secret: "token", output: `token-${name}` }]
              : [],
        },
      ]),
    ),
  }),
);

const child = fork(fileURLToPath(new URL("soakTicks.ts", import.meta.url)), [file, String(hours)], {
  execArgv: ["--expose-gc"],
  env: { PATH: process.env.PATH, ...azure.environment, AZURE_RESOURCE_MANAGER_URL: arm.url },
});
const samples: number[] = [];
child.on("message", (message: FromSoak) => {
  if ("now" in message) {
    clock.set(message.now);
    child.send({ now: message.now } satisfies ToSoak);
  } else {
    samples.push(message.usedMiB);
    // What the embedded Azure notes of every request is not what is measured, and need not grow either.
    azure.requests.clear();
    console.log(
      `${String(samples.length).padStart(3)} h  ${message.usedMiB.toFixed(2)} MiB  ${message.ticks} ticks, ${message.failed} failed rotations`,
    );
  }
});
child.send({ now: clock.now() } satisfies ToSoak);
const exitCode = await new Promise<number | null>((resolve) => child.on("exit", resolve));
await rm(directory, { recursive: true });

const [settled = Number.NaN] = samples.slice(settledAfterHours);
const growth = (samples.at(-1) ?? Number.NaN) - settled;
const versions = azure.vault.secrets.list().reduce((sum, secret) => sum + secret.versions.length, 0);
console.log(
  `${samples.length} virtual hours, ${versions} versions written; from hour ${settledAfterHours} on memory grew by ${growth.toFixed(2)} MiB.`,
);
process.exitCode = exitCode === 0 && samples.length === hours && growth <= mostGrowthMiB ? 0 : 1;
