import { readerEnvironment } from "../delivery/files/readerEnvironment.ts";
import type { Receipt, Receipts } from "../delivery/files/receipts.ts";
import { type PullTarget, targetsOf } from "../delivery/files/targets.ts";
import { problems, RotatorError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { runInPlace } from "./childProcess.ts";
import { printError } from "./errors.ts";
import type { Io } from "./io.ts";
import { homeOf, openPuller, pullOnce } from "./pull.ts";
import { openConfiguration } from "./rotator.ts";

const execProblems = problems({
  FilesNotFresh: {
    message:
      "The files could not be brought up to date, and there is no token in them that is known to be good.",
    remedy: "Mend what is named above; the command was not run.",
    retryable: true,
  },
});

interface ExecOptions {
  readonly config?: string;
  readonly sharedDirectories?: boolean;
}

/**
 * Sees to it that a rotation's files hold a token that is good, then runs a command in our place. The vault is asked only
 * where a new version is expected, or a file is not as it was left.
 * @returns the command's own exit code; 1 where it was not run.
 */
export async function action(
  io: Io,
  options: ExecOptions,
  name: string,
  [program = "", ...args]: readonly string[],
): Promise<number> {
  const configuration = await openConfiguration(io, options);
  const { targets, blocked } = targetsOf(configuration, [name], homeOf(io));
  for (const { error } of blocked) {
    throw error;
  }
  const puller = openPuller(io, options);
  const stale = await without(targets, (target) => isFresh(target, puller.receipts, io.clock));
  const pulled = stale.length === 0 ? [] : await pullOnce(io, stale, puller);
  for (const { target, error } of pulled) {
    if (error !== undefined) {
      printError(io, error);
      if (!(await isGood(target, puller.receipts, io.clock))) {
        throw new RotatorError(execProblems.FilesNotFresh, { facts: { rotation: name, path: target.path } });
      }
    }
  }
  // What somebody has set by hand is meant so.
  const environment = { ...readerEnvironment(targets), ...io.environment };
  return await runInPlace({ ...io, environment }, program, args);
}

async function without<T>(all: readonly T[], test: (each: T) => Promise<boolean>): Promise<T[]> {
  const tested = await Promise.all(all.map(async (each) => ({ each, holds: await test(each) })));
  return tested.filter(({ holds }) => !holds).map(({ each }) => each);
}

/** Nothing newer is to be expected in the vault. */
function isFresh(target: PullTarget, receipts: Receipts, clock: Clock): Promise<boolean> {
  return isAsLeft(target, receipts, ({ renewAt }) => renewAt !== undefined && clock.now() < renewAt);
}

/** The token in the file still works, although there may be a newer one. */
function isGood(target: PullTarget, receipts: Receipts, clock: Clock): Promise<boolean> {
  return isAsLeft(target, receipts, ({ expiresOn }) => expiresOn !== undefined && clock.now() < expiresOn);
}

async function isAsLeft(
  target: PullTarget,
  receipts: Receipts,
  holds: (receipt: Receipt) => boolean,
): Promise<boolean> {
  const receipt = await receipts.find(target);
  return receipt !== undefined && holds(receipt) && (await receipts.isUntouched(target, receipt));
}
