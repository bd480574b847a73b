import type { Io, Output } from "../../src/cli/io.ts";
import { run } from "../../src/cli/program.ts";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/ports.ts";

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandSurroundings {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Told of what is printed there while the command runs. */
  readonly onStdout?: (text: string) => void;
  readonly onStderr?: (text: string) => void;
}

/** Runs one command line in this process and keeps what it prints. */
export async function command(
  argv: readonly string[],
  surroundings: CommandSurroundings = {},
): Promise<CommandResult> {
  const {
    environment = {},
    directory = process.cwd(),
    clock = systemClock,
    signal,
    onStdout,
    onStderr,
  } = surroundings;
  const stdout: string[] = [];
  const stderr: string[] = [];
  const io: Io = {
    environment,
    directory,
    clock,
    signal: signal ?? new AbortController().signal,
    stdout: capture(stdout, onStdout),
    stderr: capture(stderr, onStderr),
  };
  const exitCode = await run(argv, io);
  return { exitCode, stdout: stdout.join(""), stderr: stderr.join("") };
}

function capture(lines: string[], listen: (text: string) => void = () => {}): Output {
  const write = (text: string) => {
    lines.push(text);
    listen(text);
  };
  return { write, isTerminal: false, hasColours: false, columns: 100 };
}
