#!/usr/bin/env node
import { systemClock } from "../clock.ts";
import type { Io, Output } from "./io.ts";
import { run } from "./program.ts";

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
process.once("SIGTERM", () => interrupted.abort());

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
