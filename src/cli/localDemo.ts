import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StatusRow } from "../core/survey.ts";
import type { EventName } from "../events.ts";
import type { EmbeddedAzure } from "../local/azure.ts";
import { startEmbeddedAzure } from "../local/azure.ts";
import type { FunctionsHost, FunctionsHostLog } from "../local/functionsHost/functionsHost.ts";
import { startFunctionsHost } from "../local/functionsHost/functionsHost.ts";
import type { Ingestion } from "../local/ingestion.ts";
import { sampleLifetimeSeconds, sampleTickSeconds, startSample } from "../local/sample.ts";
import { publishedVaultLimits } from "../local/vaultThrottle.ts";
import type { ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { openLiveText } from "./liveText.ts";
import type { LocalOptions } from "./local.ts";
import { LocalMounts, mountedText } from "./localMounts.ts";
import { openRotator } from "./rotator.ts";
import { statusTable } from "./statusTable.ts";

/** The folder with `host.json`, `package.json` and `dist`: the same up from `dist/cli` and from `src/cli`. */
const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));

/** The whole product on this machine: the embedded Azure, and the built functions running on it. */
export async function runDemo(io: Io, options: LocalOptions, state: string): Promise<ExitCode> {
  const caCertificateFile = join(state, "ca.pem");
  await using azure = await startEmbeddedAzure({
    caCertificateFile,
    vaults: [{ name: "local", limits: publishedVaultLimits }],
    tokens: { lifetimeSeconds: sampleLifetimeSeconds },
  });
  const sample = await startSample(azure);
  // Its database would keep the process up, also where the functions cannot be started.
  await using _sample = { [Symbol.asyncDispose]: () => sample.stop() };
  const file = join(state, "rotations.json");
  await writeFile(file, `${JSON.stringify(sample.configuration, undefined, 2)}\n`);
  await writeFile(join(state, sample.module.name), sample.module.text);
  const environment = { ...azure.environment, ...sample.environment, ROTATIONS_FILE: file };
  const events: LoggedEvent[] = [];
  const complaints: string[] = [];
  let keepsLog = true;
  const host = await startFunctionsHost({
    packageDirectory,
    stateDirectory: state,
    environment: { ...environment, ROTATION_SCHEDULE: options.once ? yearly : everyTick },
    onLog: (line) => {
      if (!keepsLog) {
        return;
      }
      const event = eventOf(line);
      if (event !== undefined) {
        events.push(event);
      } else if (line.level === "error" || line.level === "critical") {
        complaints.push(`${line.message}\n`);
      }
    },
  }).catch((error: unknown) => {
    io.stderr.write(complaints.join(""));
    throw error;
  });
  // A demonstration that runs for days would keep every line.
  keepsLog = options.once ?? false;
  try {
    // A probe logs in during the first tick, and gives up sooner than the database starts on a busy machine.
    await sample.postgres.ready();
    const status = statusReader(io, azure, environment, file);
    const mounts = await LocalMounts.open({ ...io, environment }, file, join(state, "mount"));
    const { counts: telemetry } = sample.ingestion;
    return options.once
      ? await once(io, options, host, { events, complaints, telemetry }, status, mounts)
      : await live(io, azure, host, telemetry, status, mounts);
  } finally {
    await host.stop();
  }
}

const everyTick = `*/${sampleTickSeconds} * * * * *`;
/** Far from now: the timer is fired by hand. */
const yearly = "0 0 0 1 1 *";

interface LoggedEvent {
  readonly event: EventName;
  readonly [property: string]: unknown;
}

/** What the functions have said, as lines for people and to Application Insights. */
interface Heard {
  readonly events: readonly LoggedEvent[];
  readonly complaints: readonly string[];
  readonly telemetry: Ingestion["counts"];
}

async function once(
  io: Io,
  options: LocalOptions,
  host: FunctionsHost,
  { events, complaints, telemetry }: Heard,
  status: () => Promise<StatusRow[]>,
  mounts: LocalMounts,
): Promise<ExitCode> {
  const { succeeded, durationMs } = await host.invoke("tick");
  const rows = await status();
  const mounted = await mounts.poll();
  if (options.json) {
    printJson(io, { succeeded, durationMs, events, telemetry, status: rows, mounted });
  } else {
    io.stdout.write(statusTable(io.stdout, rows, io.clock.now()));
    io.stderr.write(mountedText(mounted));
    io.stderr.write(complaints.join(""));
    io.stderr.write(`One tick in ${durationMs} ms: ${succeeded ? "all is well" : "a rotation failed"}.\n`);
    io.stderr.write(arrived(telemetry));
  }
  return succeeded ? 0 : 1;
}

async function live(
  io: Io,
  azure: EmbeddedAzure,
  host: FunctionsHost,
  telemetry: Ingestion["counts"],
  status: () => Promise<StatusRow[]>,
  mounts: LocalMounts,
): Promise<ExitCode> {
  io.stderr.write(
    [
      `The functions run at ${host.url}, the vault is ${azure.vault.url}.`,
      // What follows the # stays in the browser.
      `The status page is at ${host.url}/api/ui#${host.functionKey.reveal()}`,
      `A tick every ${sampleTickSeconds} s, tokens that live ${sampleLifetimeSeconds / 60} minutes. Ctrl-C stops it.`,
      "",
      "",
    ].join("\n"),
  );
  using table = await openLiveText(io.stdout);
  const ended = host.exited.then(() => "exited" as const);
  let mounted = "";
  let polledAt = Number.NEGATIVE_INFINITY;
  while (!io.signal.aborted) {
    if (io.clock.now() - polledAt >= sampleTickSeconds * 1_000) {
      polledAt = io.clock.now();
      mounted = mountedText(await mounts.poll());
    }
    table.show(statusTable(io.stdout, await status(), io.clock.now()) + mounted + arrived(telemetry));
    const pause = io.stdout.isTerminal ? 1_000 : sampleTickSeconds * 1_000;
    const next = await Promise.race([
      ended,
      io.clock.sleep(pause, io.signal).catch(() => "aborted" as const),
    ]);
    // A terminal sends Ctrl-C to the host's process too.
    if (next === "exited" && !io.signal.aborted) {
      io.stderr.write("The functions host has ended by itself.\n");
      return 1;
    }
  }
  io.stderr.write(
    "Stopping; a tick that is under way is waited for, up to 10 s. Ctrl-C again does not wait.\n",
  );
  return 0;
}

function arrived({ events, metrics }: Ingestion["counts"]): string {
  return `${events} events and ${metrics} metrics have arrived at Application Insights.\n`;
}

/** What `status` would say, asked as the app's own identity. */
function statusReader(
  io: Io,
  azure: EmbeddedAzure,
  environment: Readonly<Record<string, string>>,
  file: string,
): () => Promise<StatusRow[]> {
  azure.trustInThisProcess();
  // @azure/identity reads these two from the real environment and from nowhere else.
  Object.assign(process.env, environment);
  const rotator = openRotator({ ...io, environment }, { config: file });
  // Without the signal: Ctrl-C ends the table, and to be in the middle of a look is no failure then.
  return async () => (await rotator).status();
}

function eventOf({ category, message }: FunctionsHostLog): LoggedEvent | undefined {
  if (category !== "user" || !message.startsWith('{"event":')) {
    return undefined;
  }
  return JSON.parse(message) as LoggedEvent;
}
