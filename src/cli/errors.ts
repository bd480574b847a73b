import type { RotatorError } from "../errors.ts";
import type { Io } from "./io.ts";
import { paint } from "./paint.ts";

/** What is wrong, where, and how to mend it, on stderr. */
export function printError(io: Io, error: RotatorError): void {
  const { code, summary, remedy } = error;
  io.stderr.write(`${paint(io.stderr, "red", code)}: ${summary}\n  ${remedy}\n`);
}
