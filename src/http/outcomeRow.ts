import type { RotationResult } from "../core/result.ts";
import type { RotateRow } from "../rotateRow.ts";
import { rotateRow } from "../rotateRow.ts";

/**
 * One row of `rotate --json`, its message without the facts of the occurrence: those may be claims of a token, and are in
 * the log.
 */
export function outcomeRow(result: RotationResult): RotateRow {
  const { error } = result;
  return {
    ...rotateRow(result),
    ...(error === undefined ? {} : { message: `${error.message} ${error.remedy}` }),
  };
}
