import { access, constants, mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { systemCode, unlessMissing } from "../delivery/files/fileSystem.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { EmbeddedAzure } from "../local/azure.ts";
import { startEmbeddedAzure } from "../local/azure.ts";
import { publishedVaultLimits } from "../local/vaultThrottle.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { holdDirectory } from "./stateLock.ts";

const localProblems = problems({
  DirectoryUnusable: {
    message: "The directory for the local state cannot be made or written to.",
    remedy: "Choose another one with --state.",
    retryable: false,
  },
});

export interface LocalOptions extends CommonOptions {
  /** Run the deployed functions too. */
  readonly functions?: boolean;
  /** One tick, then stop. */
  readonly once?: boolean;
  /** Where certificates, timers and mounted files are kept. */
  readonly state: string;
}

/** Boots an Azure on this machine, for any Azure SDK; with `--functions`, the product on top of it. */
export async function action(io: Io, options: LocalOptions): Promise<ExitCode> {
  const state = resolve(io.directory, options.state);
  await makeDirectory(state);
  await using _held = await holdDirectory(state);
  if (options.functions || options.once) {
    const { runDemo } = await import("./localDemo.ts");
    return await runDemo(io, options, state);
  }
  await using azure = await startEmbeddedAzure({
    caCertificateFile: resolve(state, "ca.pem"),
    // A program that is too fast for a vault in Azure is too fast here.
    vaults: [{ name: "local", limits: publishedVaultLimits }],
  });
  printEnvironment(io, options, azure);
  await untilAborted(io.signal);
  return 0;
}

async function makeDirectory(state: string): Promise<void> {
  try {
    await makeStepByStep(state);
    await access(state, constants.W_OK);
  } catch (cause) {
    const code = systemCode(cause);
    const facts = { state, ...(code === undefined ? {} : { errorCode: code }) };
    const unusable = new RotatorError(localProblems.DirectoryUnusable, { cause, facts });
    throw asRotatorError(unusable, "configure");
  }
}

/** Not `recursive`: where a file system answers ENOENT to whatever is made, as /proc does, Node.js tries for ever. */
async function makeStepByStep(directory: string): Promise<void> {
  if (await isDirectory(directory)) {
    return;
  }
  if (dirname(directory) !== directory) {
    await makeStepByStep(dirname(directory));
  }
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    // Another start may have been quicker.
    if (!(await isDirectory(directory))) {
      throw error;
    }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await unlessMissing(stat(path)))?.isDirectory() ?? false;
}

function printEnvironment(io: Io, options: LocalOptions, { environment }: EmbeddedAzure): void {
  if (options.json) {
    printJson(io, { environment });
    return;
  }
  const lines = Object.entries(environment).map(([name, value]) => `export ${name}='${value}'\n`);
  io.stdout.write(lines.join(""));
  io.stderr.write(
    "The embedded Azure is up: set these variables where your program runs. Ctrl-C stops it.\n",
  );
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) {
      done();
    }
    signal.addEventListener("abort", () => done(), { once: true });
  });
}
