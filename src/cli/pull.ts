import { homedir } from "node:os";
import { composeStores } from "../compose.ts";
import { machineFileSystem } from "../delivery/files/fileSystem.ts";
import { type PullEnvironment, type PulledFile, pullFiles } from "../delivery/files/pull.ts";
import { Receipts } from "../delivery/files/receipts.ts";
import type { ServiceManager } from "../delivery/files/serviceUnit.ts";
import { type PullTarget, type Targets, targetsOf } from "../delivery/files/targets.ts";
import { watchFiles } from "../delivery/files/watch.ts";
import { problems, RotatorError } from "../errors.ts";
import { runShell } from "./childProcess.ts";
import { printError } from "./errors.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { paint } from "./paint.ts";
import { Journal } from "./pullJournal.ts";
import { printService } from "./pullService.ts";
import { openConfiguration } from "./rotator.ts";
import { table } from "./table.ts";
import { shortDuration } from "./time.ts";

const pullCommandProblems = problems({
  CommandFailed: {
    message: "The command that was to be run after the change did not succeed.",
    remedy: "Mend the command; it is run again on the next pull, although nothing has changed by then.",
    retryable: true,
  },
});

export interface PullOptions extends CommonOptions {
  readonly watch?: boolean;
  /** Command line that is run after a change. */
  readonly exec?: string;
  readonly service?: ServiceManager;
  readonly sharedDirectories?: boolean;
}

/** Writes the files of the rotations that are named, once or until Ctrl-C. */
export async function action(io: Io, options: PullOptions, names: readonly string[]): Promise<ExitCode> {
  const configuration = await openConfiguration(io, options);
  const targets = targetsOf(configuration, names, homeOf(io));
  if (options.service !== undefined) {
    printService(io, options, options.service, configuration, names);
    return 0;
  }
  const puller = openPuller(io, options);
  return options.watch ? await watch(io, options, targets, puller) : await once(io, options, targets, puller);
}

/** What reads the vault and writes files on this host. */
export interface Puller {
  readonly environment: PullEnvironment;
  readonly receipts: Receipts;
}

export function openPuller(io: Io, { sharedDirectories = false }: { sharedDirectories?: boolean }): Puller {
  const fs = machineFileSystem({ sharedDirectories });
  const { storeOf } = composeStores({ environment: io.environment, clock: io.clock });
  return {
    environment: { storeOf, fs, clock: io.clock },
    receipts: new Receipts({ environment: io.environment, home: homeOf(io), fs }),
  };
}

export function homeOf(io: Io): string {
  return io.environment.HOME || homedir();
}

const retryMs = 30_000;

/** Pulls once and notes it. */
export async function pullOnce(
  io: Io,
  targets: readonly PullTarget[],
  { environment, receipts }: Puller,
): Promise<PulledFile[]> {
  const context = { signal: io.signal, giveUpAt: io.clock.now() + retryMs };
  const pulled = await pullFiles(targets, environment, context);
  for (const each of pulled) {
    await receipts.keep(each);
  }
  return pulled;
}

async function once(io: Io, options: PullOptions, all: Targets, puller: Puller): Promise<ExitCode> {
  const pulled = await pullOnce(io, all.targets, puller);
  const untold = await new Teller(io, options.exec, puller.receipts).tell(pulled);
  const failed = [...pulled.filter(({ error }) => error !== undefined), ...all.blocked];
  if (options.json) {
    printJson(io, [...pulled.map(pullRow), ...all.blocked.map(blockedRow)]);
  } else {
    io.stdout.write(table(["ROTATION", "OUTPUT", "PATH", "FILE", "EXPIRES IN"], pulled.map(cells(io))));
    for (const { error } of failed) {
      printError(io, error as RotatorError);
    }
  }
  return failed.length > 0 || untold.size > 0 ? 1 : 0;
}

async function watch(io: Io, options: PullOptions, all: Targets, puller: Puller): Promise<ExitCode> {
  for (const { error } of all.blocked) {
    if (all.targets.length === 0) {
      throw error;
    }
    printError(io, error);
  }
  const journal = new Journal(io, puller.receipts);
  const teller = new Teller(io, options.exec, puller.receipts);
  try {
    await watchFiles({
      targets: all.targets,
      environment: puller.environment,
      signal: io.signal,
      jitter: Math.random,
      onPulled: async (pulled) => {
        for (const each of pulled) {
          await puller.receipts.keep(each);
        }
        if (options.json) {
          io.stdout.write(`${JSON.stringify(pulled.map(pullRow))}\n`);
        } else {
          await journal.note(pulled);
        }
        return await teller.tell(pulled);
      },
    });
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (!io.signal.aborted) {
      throw error;
    }
  }
  return 0;
}

/** Runs the command of `--exec` for every change, once it succeeds. */
class Teller {
  readonly #io: Io;
  readonly #command: string | undefined;
  readonly #receipts: Receipts;
  /** For a host that keeps no receipts. */
  readonly #untold = new Set<PullTarget>();

  constructor(io: Io, command: string | undefined, receipts: Receipts) {
    this.#io = io;
    this.#command = command;
    this.#receipts = receipts;
  }

  /** @returns the targets that the command is still to be run for, because it failed. */
  async tell(pulled: readonly PulledFile[]): Promise<ReadonlySet<PullTarget>> {
    if (this.#command === undefined) {
      return this.#untold;
    }
    const news: PulledFile[] = [];
    for (const each of pulled) {
      if (each.error === undefined && (each.changed || (await this.#isUntold(each.target, this.#command)))) {
        news.push(each);
        this.#untold.add(each.target);
      }
    }
    if (news.length === 0) {
      return this.#untold;
    }
    const exitCode = await runShell(this.#io, this.#command);
    if (exitCode !== 0) {
      printError(this.#io, new RotatorError(pullCommandProblems.CommandFailed, { facts: { exitCode } }));
      return this.#untold;
    }
    for (const each of news) {
      this.#untold.delete(each.target);
      await this.#receipts.keep(each, this.#command);
    }
    return this.#untold;
  }

  async #isUntold(target: PullTarget, command: string): Promise<boolean> {
    return this.#untold.has(target) || (await this.#receipts.isUntold(target, command));
  }
}

/** One row of `pull --json`. */
interface PullRow {
  readonly rotation: string;
  /** Name of the output's secret; of a session in two outputs, that of the token. Absent for a rotation with a fault. */
  readonly output?: string;
  /** The file; of a session, its directory. Absent for a rotation with a fault. */
  readonly path?: string;
  readonly changed: boolean;
  /** Of the version in the vault; ISO 8601, UTC. */
  readonly expiresOn?: string;
  readonly error?: { readonly code: string; readonly message: string; readonly remedy: string };
}

function pullRow({ target, changed, expiresOn, error }: PulledFile): PullRow {
  return {
    rotation: target.rotation,
    output: outputOf(target),
    path: target.path,
    changed,
    ...(expiresOn === undefined ? {} : { expiresOn: expiresOn.toISOString() }),
    ...(error === undefined ? {} : { error: plain(error) }),
  };
}

function blockedRow({ rotation, error }: Targets["blocked"][number]): PullRow {
  return { rotation, changed: false, error: plain(error) };
}

function plain({ code, summary, remedy }: RotatorError): NonNullable<PullRow["error"]> {
  return { code, message: summary, remedy };
}

function outputOf({ outputs }: PullTarget): string {
  const [first] = outputs.values();
  return first?.secret ?? "";
}

function cells(io: Io): (pulled: PulledFile) => string[] {
  return ({ target, changed, expiresOn, error }) => [
    target.rotation,
    outputOf(target),
    target.path,
    error !== undefined
      ? paint(io.stdout, "red", "as it was")
      : changed
        ? paint(io.stdout, "green", "written")
        : paint(io.stdout, "dim", "unchanged"),
    expiresOn === undefined ? "" : shortDuration((expiresOn.getTime() - io.clock.now()) / 1000),
  ];
}
