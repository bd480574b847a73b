#!/usr/bin/env node
import { systemClock } from "../clock.ts";
import type { Io, Output } from "./io.ts";
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
  directory: process.cwd(),
  clock: systemClock,
  signal: interrupted.signal,
  stdout: output(process.stdout),
  stderr: output(process.stderr),
};

process.exitCode = await run(process.argv.slice(2), io);

function output(stream: NodeJS.WriteStream): Output {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
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
