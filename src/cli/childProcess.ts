import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Io } from "./io.ts";

/**
 * Runs a program in our place: with our input and output, with the signals that we get, and in our directory.
 * @returns its exit code; 128 and the signal's number where one ended it, 127 where there is no such program and 126 where
 * it cannot be run, as a shell has it.
 */
export async function runInPlace(io: Io, program: string, args: readonly string[]): Promise<number> {
  let child: ChildProcess | undefined;
  const forward = (signal: NodeJS.Signals) => {
    // A terminal has sent the keys' own signals to the child already, and twice means something else to many programs.
    if (!(process.stdin.isTTY && fromKeyboard.has(signal))) {
      child?.kill(signal);
    }
  };
  // Before there is a child: a signal that came in between would end this process and leave the child behind.
  // And instead of our own listeners: with those, the second Ctrl-C in the child would end this process.
  const own = forwarded.map((signal) => [signal, process.listeners(signal)] as const);
  for (const signal of forwarded) {
    process.removeAllListeners(signal).on(signal, forward);
  }
  try {
    child = spawn(program, args, { stdio: "inherit", cwd: io.directory, env: { ...io.environment } });
    return await ended(child);
  } finally {
    for (const [signal, listeners] of own) {
      process.removeListener(signal, forward);
      for (const listener of listeners) {
        process.on(signal, listener);
      }
    }
  }
}

/** Runs a command line of a shell. What it prints goes to our standard error: standard output is for our own answer. */
export async function runShell(io: Io, command: string): Promise<number> {
  const child = spawn(command, {
    shell: true,
    stdio: ["ignore", 2, 2],
    cwd: io.directory,
    env: { ...io.environment },
    signal: io.signal,
  });
  return await ended(child);
}

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const;
const fromKeyboard: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT"]);

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (error.name === "AbortError") {
        reject(error);
      } else {
        resolve(error.code === "ENOENT" ? 127 : 126);
      }
    });
    child.once("exit", (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
