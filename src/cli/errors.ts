import { ConfigurationInvalidError, formatProblems } from "../config/problems.ts";
import type { RotatorError } from "../errors.ts";
import type { Io, Output } from "./io.ts";
import { paint } from "./paint.ts";

/** What is wrong, where, and how to mend it, on stderr; every problem of a configuration that cannot be used at all. */
export function printError(io: Io, error: RotatorError): void {
  io.stderr.write(
    error instanceof ConfigurationInvalidError
      ? `${formatProblems(error.problems, { file: String(error.facts.file) })}\n`
      : errorText(io.stderr, error),
  );
}

/** The same as text for that output. */
export function errorText(output: Output, { code, summary, remedy }: RotatorError): string {
  return `${paint(output, "red", code)}: ${summary}\n  ${remedy}\n`;
}

/** What `--json` prints where there is nothing else to print. */
export function errorDocument(error: RotatorError): object {
  const { code, summary, remedy, stage } = error;
  return {
    error: {
      code,
      message: summary,
      remedy,
      ...(stage === undefined ? {} : { stage }),
      ...(error instanceof ConfigurationInvalidError ? { problems: error.problems } : {}),
    },
  };
}
