import type { Clock } from "../ports.ts";

/** What a command may touch of the process that it runs in; tests give their own. */
export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where relative paths begin. */
  readonly directory: string;
  readonly clock: Clock;
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal;
  readonly stdout: Output;
  readonly stderr: Output;
}

export interface Output {
  readonly write: (text: string) => void;
  /** Whether a person is looking: live tables only then. */
  readonly isTerminal: boolean;
  /** A terminal, and `NO_COLOR` is not set. */
  readonly hasColours: boolean;
  /** Characters in a line. */
  readonly columns: number;
}

/** 0 good, 1 a rotation failed or is stale or expired, 2 usage or configuration error. */
export type ExitCode = 0 | 1 | 2;

export interface CommonOptions {
  /** Path of the configuration. */
  readonly config?: string;
  /** One JSON document on stdout, nothing else. */
  readonly json?: boolean;
}

/** Prints the one document that `--json` promises. */
export function printJson(io: Io, document: unknown): void {
  io.stdout.write(`${JSON.stringify(document, undefined, io.stdout.isTerminal ? 2 : undefined)}\n`);
}
