#!/usr/bin/env node
import { writeSync } from "node:fs";
import { systemClock } from "../clock.ts";
import type { ExitCode, Io, Output } from "./io.ts";
import { run } from "./program.ts";

const interrupted = new AbortController();
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  // Not `once`: the package that gives a live table's terminal its cursor back ends the process by the signal as soon as
  // nobody else listens, and nothing would be stopped in order.
  process.on(signal, () => {
    if (interrupted.signal.aborted) {
      process.exit(exitCode);
    }
    interrupted.abort();
  });
}

const io: Io = {
  environment: process.env,
  directory: workingDirectory(),
  clock: systemClock,
  signal: interrupted.signal,
  stdout: output(process.stdout),
  stderr: output(process.stderr),
};

process.exitCode = await run(process.argv.slice(2), io);

/** A shell may stand in a directory that somebody has removed. */
function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return giveUp(
      "DirectoryGone: The directory that this was called in no longer exists.\n  Change to another one.\n",
      2,
    );
  }
}

function output(stream: NodeJS.WriteStream): Output {
  stream.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code !== "EPIPE") {
      giveUp(
        `OutputLost: What is printed cannot be written. (errorCode=${code})\n  Make room on its disk.\n`,
        1,
      );
    }
    // Whoever reads (`| head`) has seen enough: a watch ends too.
    interrupted.abort();
  });
  return {
    write: (text) => {
      stream.write(text);
    },
    isTerminal: stream.isTTY === true,
    hasColours: stream.isTTY === true && !process.env.NO_COLOR,
    columns: stream.columns ?? 100,
  };
}

function giveUp(text: string, exitCode: ExitCode): never {
  try {
    writeSync(2, text);
  } catch {
    // Nobody can be told.
  }
  process.exit(exitCode);
}
