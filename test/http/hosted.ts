import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EmbeddedAzure } from "../../src/local/azure.ts";
import { startEmbeddedAzure } from "../../src/local/azure.ts";
import type { FunctionsHost, FunctionsHostLog } from "../../src/local/functionsHost/functionsHost.ts";
import { startFunctionsHost } from "../../src/local/functionsHost/functionsHost.ts";

export interface Hosted extends AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly host: FunctionsHost;
  readonly log: readonly FunctionsHostLog[];
}

const scope = "https://example.org/7d22ece1-dd60-4279-a911-4b7b95934f2e";

/** As `npm run build` leaves it. That the package which is deployed holds the same is shown by its own test. */
const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));

/** The built functions on the embedded Azure: `oracle-adb` can be rotated, `nobody` has an unknown audience. */
export async function startHosted(settings: Readonly<Record<string, string>> = {}): Promise<Hosted> {
  const directory = await mkdtemp(join(tmpdir(), "hosted-"));
  await using started = new AsyncDisposableStack();
  started.defer(() => rm(directory, { recursive: true, force: true }));
  const azure = started.use(
    await startEmbeddedAzure({
      caCertificateFile: join(directory, "ca.pem"),
      resources: [{ identifier: scope }],
      tokens: { lifetimeSeconds: 3_600 },
    }),
  );
  const rotation = (audience: string, secret: string) => ({
    source: { kind: "entra", scope: `${audience}/.default` },
    outputs: [{ secret }],
    lifetime: "1h",
  });
  const file = join(directory, "rotations.json");
  const rotations = {
    "oracle-adb": rotation(scope, "oracle-entraid-token"),
    nobody: rotation("https://nobody.example.org", "nobody-token"),
  };
  await writeFile(file, JSON.stringify({ retryBudget: "5s", rotations }));
  const log: FunctionsHostLog[] = [];
  const host = started.use(
    await startFunctionsHost({
      packageDirectory,
      stateDirectory: join(directory, "state"),
      environment: {
        ...azure.environment,
        ...settings,
        ROTATIONS_FILE: file,
        // Far away: nothing ticks but what is asked to.
        ROTATION_SCHEDULE: "0 0 0 1 1 *",
      },
      onLog: (line) => log.push(line),
    }),
  );
  const running = started.move();
  return { azure, host, log, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
