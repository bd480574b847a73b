import { readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../delivery/files/fileSystem.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";

const lockProblems = problems({
  StateInUse: {
    message: "Another `token-rotator local` runs on this directory.",
    remedy:
      "Choose another one with --state, or stop the other; where none runs, remove the file `pid` in the directory.",
    retryable: false,
  },
});

/**
 * Keeps a directory for this process until disposed of. Two that share one would write over each other's certificate and
 * configuration, and both would fail for no visible reason. What a process that was killed has left is taken over.
 * @throws RotatorError `StateInUse`
 */
export async function holdDirectory(directory: string): Promise<AsyncDisposable> {
  const file = join(directory, "pid");
  if (!(await claim(file))) {
    const pid = Number(await readFile(file, "utf8").catch(() => ""));
    if (pid === 0 || isAlive(pid) || !(await takeOver(file))) {
      const error = new RotatorError(lockProblems.StateInUse, { facts: { directory, pid } });
      throw asRotatorError(error, "configure");
    }
  }
  return { [Symbol.asyncDispose]: () => unlink(file).catch(() => {}) };
}

async function takeOver(file: string): Promise<boolean> {
  await unlink(file).catch(() => {});
  return await claim(file);
}

async function claim(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") {
      return false;
    }
    throw error;
  }
}

function isAlive(pid: number): boolean {
  // In a container every start has the same id.
  if (pid === process.pid) {
    return false;
  }
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}
