import { RotatorError } from "../../errors.ts";
import { contentProblems } from "./contentProblems.ts";
import { bytesOf, charactersOf, inserted, joined, linesOf } from "./lines.ts";

/**
 * Puts our variables among the user's own in a file of environment variables. Where a variable is set already, its value
 * is replaced (and `export` before it stays); else it goes to the end. All else stays as it is, byte for byte.
 *
 * @param ours lines as the format `dotenv` makes them.
 * @throws RotatorError `ContentUnfit`
 */
export function mergeDotenv(existing: Buffer | undefined, ours: Buffer): Buffer {
  let text = charactersOf(existing);
  for (const variable of wantedVariables(ours)) {
    text = withVariable(text, variable);
  }
  return bytesOf(text);
}

const lineEnding = /\r\n|\n|\r/g;

interface Variable {
  readonly name: string;
  /** `NAME=value` */
  readonly text: string;
}

function wantedVariables(ours: Buffer): Variable[] {
  const lines = linesOf(charactersOf(ours), lineEnding);
  const variables = lines.flatMap(({ text }) => {
    const name = /^([A-Za-z_]\w*)=/.exec(text)?.[1];
    return name === undefined ? [] : [{ name, text }];
  });
  if (variables.length === 0 || variables.length < lines.length) {
    throw new RotatorError(contentProblems.ContentUnfit, { facts: { kind: "dotenv" } });
  }
  return variables;
}

function withVariable(text: string, { name, text: wanted }: Variable): string {
  const [first, ...others] = definitionsOf(text).filter((definition) => definition.name === name);
  if (first === undefined) {
    const lines = linesOf(text, lineEnding);
    return joined(inserted(lines, lines.length, [wanted]));
  }
  // The last one would win, so none may stay; from behind, so that the earlier positions stay right.
  let result = text;
  for (const { start, end } of others.toReversed()) {
    result = result.slice(0, start) + result.slice(lineAfter(result, end));
  }
  return result.slice(0, first.nameAt) + wanted + result.slice(first.end);
}

interface Definition {
  readonly name: string;
  /** Where its first line begins. */
  readonly start: number;
  /** Where the name begins. */
  readonly nameAt: number;
  /** Where its last line ends, before the line break. */
  readonly end: number;
}

/**
 * What a file sets, as the package dotenv and Node.js read it. A value in quotes may go on over several lines, and what
 * stands in it is no definition.
 */
function definitionsOf(text: string): Definition[] {
  const definitions: Definition[] = [];
  const unclosed = new Set<string>();
  for (let start = 0; start < text.length; ) {
    let end = lineEnd(text, start);
    const match = /^([^\S\r\n]*(?:export[^\S\r\n]+)?)([\w.-]+)[^\S\r\n]*=[^\S\r\n]*/.exec(
      text.slice(start, end),
    );
    if (match !== null) {
      const [head, lead = "", name = ""] = match;
      end = valueEnd(text, start + head.length, end, unclosed);
      definitions.push({ name, start, nameAt: start + lead.length, end });
    }
    start = lineAfter(text, end);
  }
  return definitions;
}

/** Where the line ends in which the value does. */
function valueEnd(text: string, valueAt: number, end: number, unclosed: Set<string>): number {
  const quote = text.charAt(valueAt);
  if (!/["'`]/.test(quote) || unclosed.has(quote)) {
    return end;
  }
  for (let at = valueAt + 1; at < text.length; at += 1) {
    if (text.charAt(at) === "\\") {
      at += 1;
    } else if (text.charAt(at) === quote) {
      return lineEnd(text, at);
    }
  }
  // None of this kind is closed from here on: such a quote is a character like any other.
  unclosed.add(quote);
  return end;
}

function lineEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === "\n" || character === "\r") {
      return at;
    }
  }
  return text.length;
}

function lineAfter(text: string, end: number): number {
  return end + (text.startsWith("\r\n", end) ? 2 : 1);
}
