import { problems, RotatorError } from "../errors.ts";
import { looksLikeSecret } from "./literalSecrets.ts";

export const configProblemCodes = [
  "Missing",
  "WrongType",
  "InvalidValue",
  "InvalidName",
  "UnknownKey",
  "UnknownKind",
  "UnknownFormat",
  "UnknownOutput",
  "AmbiguousOutput",
  "DuplicateKey",
  "DuplicateSecret",
  "DuplicateBinding",
  "DuplicateFile",
  "ForbiddenKey",
  "LiteralSecret",
  "UnsafeMargin",
  "UnsafeBudget",
] as const;
export type ConfigProblemCode = (typeof configProblemCodes)[number];

/** One thing that is wrong in the configuration. No field repeats a value of the file: it may be a misplaced secret. */
export interface ConfigProblem {
  /** Where, as keys and indexes; a key that cannot be shown is given by its length. */
  readonly path: readonly (string | number)[];
  /** The path as text: `rotations.postgres-mcp.outputs[0].secret`. Empty for the document itself. */
  readonly pointer: string;
  readonly code: ConfigProblemCode;
  /** What was found; reads on from the pointer ("… is missing"). */
  readonly message: string;
  /** How to mend it. */
  readonly remedy: string;
}

const { ConfigurationInvalid } = problems({
  ConfigurationInvalid: {
    message: "The configuration cannot be used.",
    remedy: "Mend what `token-rotator validate` names.",
    retryable: false,
  },
});

/** A fault outside the rotations: nothing can be run. */
export class ConfigurationInvalidError extends RotatorError {
  /** Everything that is wrong, inside the rotations too. */
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, found: readonly ConfigProblem[]) {
    const [first] = found.map(formatProblem);
    super(ConfigurationInvalid, { facts: { file, problems: found.length, first: first ?? "" } });
    this.problems = found;
  }
}

/** Makes a problem of a text in the form `what was found; how to mend it`. */
export function configProblem(
  path: readonly PropertyKey[],
  code: ConfigProblemCode,
  text: string,
): ConfigProblem {
  const [message = "", ...remedy] = text.split("; ");
  const shown = shownPath(path);
  return Object.freeze({
    path: Object.freeze(shown),
    pointer: pointerText(shown),
    code,
    message,
    remedy: sentence(remedy.join("; ") || "see what rotations.schema.json says about this field"),
  });
}

/** Lines for a person: where, what was found, and how to mend it. */
export function formatProblems(
  problems: readonly ConfigProblem[],
  { file }: { readonly file: string },
): string {
  const count = `${problems.length} problem${problems.length === 1 ? "" : "s"}`;
  return [
    `${file}: ${count}`,
    ...problems.flatMap((problem) => [`  ${found(problem)}`, `    ${problem.remedy}`]),
  ].join("\n");
}

/** The same in one line, for a log. */
export function formatProblem(problem: ConfigProblem): string {
  return `${found(problem)}. ${problem.remedy}`;
}

function found({ pointer, message, code }: ConfigProblem): string {
  return `${pointer || "the document"} ${message} (${code})`;
}

/** The pointer to any path of the document, with nothing in it that may not be shown. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return pointerText(shownPath(path));
}

function pointerText(path: readonly (string | number)[]): string {
  return path
    .map((segment, index) => {
      if (typeof segment === "number") {
        return `[${segment}]`;
      }
      if (!/^[\w$-]+$/.test(segment)) {
        return `[${JSON.stringify(segment)}]`;
      }
      return index === 0 ? segment : `.${segment}`;
    })
    .join("");
}

/** Keys are shown, unless somebody may have put a secret or a page of text where a key belongs. */
export function isShowable(key: string): boolean {
  return /^[\w$.-]{1,63}$/.test(key) && looksLikeSecret(key, "key") === undefined;
}

function shownPath(path: readonly PropertyKey[]): (string | number)[] {
  return path.map(showable);
}

function showable(segment: PropertyKey): string | number {
  if (typeof segment === "number") {
    return segment;
  }
  const key = String(segment);
  return isShowable(key) ? key : `(${key.length} characters)`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? "" : "."}`;
}
