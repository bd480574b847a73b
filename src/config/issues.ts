import leven from "leven";
import type * as z from "zod";
import { type ConfigProblem, type ConfigProblemCode, configProblem } from "./problems.ts";

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

export type Checked<Output> =
  | { readonly ok: true; readonly value: Output }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/**
 * Checks a value against a schema and puts what is wrong into our words. The schemas' own messages have the form `what was
 * found; how to mend it`; the rest is said here, and no value is ever repeated.
 */
export function check<Output>(schema: z.ZodType<Output>, value: unknown, path: Path): Checked<Output> {
  // By the object that holds the unknown keys: the issue itself does not carry what would have been known.
  const knownKeys = new Map<unknown, readonly string[]>();
  const result = schema.safeParse(value, {
    // Compiling a schema with `new Function` takes longer than all checks of a usual configuration.
    jitless: true,
    error: (issue) => {
      if (issue.code === "unrecognized_keys") {
        // Several branches of a union may have looked at it.
        knownKeys.set(issue.input, [...(knownKeys.get(issue.input) ?? []), ...keysOf(issue)]);
      }
      return describe(issue);
    },
  });
  if (result.success) {
    return { ok: true, value: result.data };
  }
  const problems = flatten(result.error.issues).flatMap((issue) =>
    problemsOf(issue, path, valueAt(value, issue.path), knownKeys),
  );
  return { ok: false, problems };
}

/** The choice that was most likely meant, if one is near enough. */
export function nearest<Choice extends { readonly word: string }>(
  written: string,
  choices: readonly Choice[],
): Choice | undefined {
  const allowed = ({ word }: Choice) => Math.max(2, word.length / 3);
  return choices
    .filter((choice) => Math.abs(choice.word.length - written.length) <= allowed(choice))
    .map((choice) => ({ choice, distance: leven(written.toLowerCase(), choice.word.toLowerCase()) }))
    .filter(({ choice, distance }) => distance <= allowed(choice))
    .sort((a, b) => a.distance - b.distance)[0]?.choice;
}

/** `did you mean …`, or the whole choice where nothing is near. What was written is not repeated. */
function didYouMean(written: string, words: readonly string[]): string {
  const near = nearest(
    written,
    words.map((word) => ({ word })),
  );
  if (near !== undefined) {
    return `did you mean ${near.word}?`;
  }
  return words.length === 0 ? "leave it out" : `use one of: ${words.join(", ")}`;
}

/** A union that no branch fits is told as the branch that the value was most likely meant for. */
function flatten(issues: readonly Issue[]): Issue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "invalid_union" || issue.errors.length === 0) {
      return [issue];
    }
    const typed = issue.errors.filter((branch) => !branch.some(isOfBranchType));
    const meant = typed
      .filter((branch) => !branch.some(isKindMismatch))
      .sort((a, b) => a.length - b.length)[0];
    const inner = meant === undefined ? [mismatch(issue.message, issue.errors, typed)] : flatten(meant);
    return inner.map((one) => ({ ...one, path: [...issue.path, ...one.path] }));
  });
}

/** The value is not even of the type that the branch takes. */
function isOfBranchType({ code, path }: Issue): boolean {
  return code === "invalid_type" && path.length === 0;
}

function isKindMismatch({ code, path }: Issue): boolean {
  return code === "invalid_value" && (path[0] === "kind" || path[0] === "format");
}

/** One issue for a union of which no branch was meant. `found` says what the value is. */
function mismatch(
  found: string,
  branches: readonly (readonly Issue[])[],
  typed: readonly (readonly Issue[])[],
): Issue {
  const kinds = typed.flat().filter(isKindMismatch);
  const values = kinds.flatMap((issue) => (issue.code === "invalid_value" ? issue.values : []));
  if (values.length > 0) {
    const message = `is none of the known ones; use one of: ${values.join(", ")}`;
    return { code: "invalid_value", values, path: kinds[0]?.path ?? [], message };
  }
  const types = branches
    .flat()
    .flatMap((issue) => (issue.code === "invalid_type" ? [typeName(issue.expected)] : []));
  const message = `${found}; write ${[...new Set(types)].join(" or ")}`;
  return { code: "invalid_type", expected: "object", path: [], message };
}

function problemsOf(
  issue: Issue,
  base: Path,
  found: unknown,
  knownKeys: ReadonlyMap<unknown, readonly string[]>,
): ConfigProblem[] {
  const path = [...base, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) =>
      configProblem(
        [...path, key],
        "UnknownKey",
        `is not known; ${didYouMean(key, knownKeys.get(found) ?? [])}`,
      ),
    );
  }
  return [configProblem(path, codeOf(issue, found), issue.message)];
}

function codeOf(issue: Issue, found: unknown): ConfigProblemCode {
  if (found === undefined) {
    return "Missing";
  }
  switch (issue.code) {
    case "invalid_type":
      return "WrongType";
    case "invalid_key":
      return "InvalidName";
    case "invalid_union":
    case "invalid_value":
      return unknownWords.get(issue.path.at(-1)) ?? "InvalidValue";
    default:
      return "InvalidValue";
  }
}

const unknownWords: ReadonlyMap<unknown, ConfigProblemCode> = new Map([
  ["kind", "UnknownKind"],
  ["format", "UnknownFormat"],
]);

/** The words for what the schemas themselves have none for. */
function describe(issue: RawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined
        ? `is missing; write ${typeName(issue.expected)}`
        : wrongType(issue.input, issue.expected, keysOf(issue));
    case "invalid_value":
      return choiceText(
        issue.input,
        issue.values.map((value) => String(value)),
      );
    case "invalid_union":
      return typeof issue.discriminator === "string"
        ? choiceText(
            fieldOf(issue.input, issue.discriminator),
            ((issue.options ?? []) as readonly unknown[]).map(String),
          )
        : issue.input === undefined
          ? "is missing"
          : "has the wrong type";
    case "too_small":
      return sizeText(issue.origin, "at least", Number(issue.minimum));
    case "too_big":
      return sizeText(issue.origin, "at most", Number(issue.maximum));
    case "invalid_format":
      return `does not have the form of ${issue.format === "regex" ? `a text like ${issue.pattern}` : issue.format}`;
    case "invalid_key":
      return (issue.issues as readonly Issue[])[0]?.message ?? "is not a name that is taken here";
    default:
      return "is not valid";
  }
}

function choiceText(written: unknown, choice: readonly string[]): string {
  if (written === undefined) {
    return `is missing; use one of: ${choice.join(", ")}`;
  }
  return `is none of the known ones; ${didYouMean(typeof written === "string" ? written : "", choice)}`;
}

function wrongType(input: unknown, expected: string, keys: readonly string[]): string {
  if (typeof input === "string" && keys.includes("secret") && keys.includes("vault") && keys.length === 2) {
    return 'is text where a reference belongs; put the value into Key Vault and write { "secret": "NAME-OF-IT" }';
  }
  return `is ${typeName(typeOf(input))}; write ${typeName(expected)}`;
}

const typeNames: Record<string, string> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
  null: "null",
};

function typeName(type: string): string {
  return typeNames[type] ?? type;
}

function typeOf(value: unknown): string {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

function sizeText(origin: string, bound: "at least" | "at most", limit: number): string {
  const few = bound === "at least";
  const plural = limit === 1 ? "" : "s";
  switch (origin) {
    case "string":
      return `is too ${few ? "short" : "long"}; write ${bound} ${limit} character${plural}`;
    case "array":
      return `has too ${few ? "few" : "many"} entries; write ${bound} ${limit}`;
    default:
      return `is too ${few ? "small" : "big"}; write ${bound} ${limit}`;
  }
}

/** The keys that the schema which raised the issue knows; none where it is no object. */
function keysOf(issue: RawIssue): readonly string[] {
  const shape = (issue.inst as z.core.$ZodObject | undefined)?._zod.def.shape;
  return shape === undefined ? [] : Object.keys(shape);
}

function fieldOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce(fieldOf, value);
}
