/*
 * JSON.parse decides what is JSON; the scanner here tells what JSON.parse does not: where a fault is (its messages quote
 * the file, which may hold a secret) and which keys stand twice (it keeps the last and says nothing).
 */

export type JsonPath = readonly (string | number)[];

export type JsonText =
  | { readonly ok: true; readonly value: unknown; readonly duplicates: readonly JsonPath[] }
  | { readonly ok: false; readonly offset: number; readonly expected: string; readonly found: string };

/** Nothing in a configuration nests deeper; a bound keeps every walk over it from running out of stack. */
const deepest = 64;

/** Parses a JSON text (RFC 8259) that nests at most 64 levels. */
export function readJson(text: string): JsonText {
  const scan = scanJson(text);
  return scan.fault === undefined
    ? { ok: true, value: JSON.parse(text), duplicates: scan.duplicates }
    : { ok: false, ...scan.fault };
}

type Expected = "a value" | "a value or ]" | "a key" | "a key or }" | "a colon" | "a comma" | "the end";

interface Scan {
  readonly duplicates: JsonPath[];
  readonly fault?: { readonly offset: number; readonly expected: string; readonly found: string };
}

interface Level {
  readonly close: "}" | "]";
  /** Keys seen so far; only of an object. */
  readonly keys: Set<string>;
  /** The key or index that is being read. */
  at: string | number;
}

const space = /[ \t\n\r]*/y;
const token =
  /[{}[\]:,]|"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

function scanJson(text: string): Scan {
  const duplicates: JsonPath[] = [];
  const levels: Level[] = [];
  let expected: Expected = "a value";
  let offset = skip(space, text, 0);
  while (offset < text.length) {
    const end = skip(token, text, offset);
    const read = text.slice(offset, end);
    const level = levels.at(-1);
    const next = afterToken(read, expected, level);
    if (end === offset || next === undefined) {
      return { duplicates, fault: { offset, expected, found: foundAt(text, offset, end) } };
    }
    if (read === "{" || read === "[") {
      if (levels.length === deepest) {
        return { duplicates, fault: { offset, expected: "at most 64 levels", found: "a deeper one" } };
      }
      levels.push({ close: read === "{" ? "}" : "]", keys: new Set(), at: 0 });
    } else if (read === "}" || read === "]") {
      levels.pop();
    } else if (next === "a colon" && level !== undefined) {
      level.at = JSON.parse(read);
      if (level.keys.has(level.at as string)) {
        duplicates.push(levels.map(({ at }) => at));
      }
      level.keys.add(level.at as string);
    } else if (read === "," && typeof level?.at === "number") {
      level.at += 1;
    }
    expected = next === "the end" && levels.length > 0 ? "a comma" : next;
    offset = skip(space, text, end);
  }
  return expected === "the end"
    ? { duplicates }
    : { duplicates, fault: { offset, expected, found: "the end of the file" } };
}

/** What may follow; `undefined` where this token may not stand here. A closed or complete value gives `the end`. */
function afterToken(read: string, expected: Expected, level: Level | undefined): Expected | undefined {
  switch (read) {
    case "{":
      return expected.startsWith("a value") ? "a key or }" : undefined;
    case "[":
      return expected.startsWith("a value") ? "a value or ]" : undefined;
    case "}":
    case "]":
      return level?.close === read && (expected === "a comma" || expected.endsWith(`or ${read}`))
        ? "the end"
        : undefined;
    case ":":
      return expected === "a colon" ? "a value" : undefined;
    case ",":
      return expected === "a comma" ? (level?.close === "}" ? "a key" : "a value") : undefined;
    default:
      if (expected.startsWith("a key")) {
        return read.startsWith('"') ? "a colon" : undefined;
      }
      return expected.startsWith("a value") ? "the end" : undefined;
  }
}

/** The kind of thing at a fault, never the text itself. */
function foundAt(text: string, offset: number, end: number): string {
  const rest = text.slice(offset, offset + 2);
  if (rest.startsWith('"')) {
    return end === offset ? "text that is not closed or badly escaped" : "text";
  }
  if (rest === "//" || rest === "/*") {
    return "a comment";
  }
  const named: Record<string, string> = {
    "'": "a single quote",
    ",": "a comma",
    ":": "a colon",
    "{": "{",
    "}": "}",
    "[": "[",
    "]": "]",
  };
  return named[rest.charAt(0)] ?? "something else";
}

/** The offset after the match that begins there; the offset itself where there is none. */
function skip(pattern: RegExp, text: string, offset: number): number {
  pattern.lastIndex = offset;
  return pattern.test(text) ? pattern.lastIndex : offset;
}
