import { ConfigurationInvalidError, formatProblems } from "../config/problems.ts";
import type { RotatorError } from "../errors.ts";
import type { Io } from "./io.ts";
import { paint } from "./paint.ts";

/** What is wrong, where, and how to mend it, on stderr; every problem of a configuration that cannot be used at all. */
export function printError(io: Io, error: RotatorError): void {
  if (error instanceof ConfigurationInvalidError) {
    io.stderr.write(`${formatProblems(error.problems, { file: String(error.facts.file) })}\n`);
    return;
  }
  const { code, summary, remedy } = error;
  io.stderr.write(`${paint(io.stderr, "red", code)}: ${summary}\n  ${remedy}\n`);
}
