import { asRotatorError } from "../errors.ts";

/** `warn`: works today, but somebody should look; or could not be tried. */
export type CheckState = "ok" | "warn" | "fail";

/** One thing that was looked at. */
export interface Check {
  /** What, and of which: `read kv-example/databricks-sp-secret`. */
  readonly check: string;
  readonly state: CheckState;
  /** What was found. */
  readonly message: string;
  /** How to mend it. */
  readonly remedy?: string;
}

/** What failed with an error, with the error's own remedy unless there is a better one. */
export function failed(check: string, thrown: unknown, remedy?: string): Check {
  const error = asRotatorError(thrown);
  return { check, state: "fail", message: `${error.code}: ${error.summary}`, remedy: remedy ?? error.remedy };
}
