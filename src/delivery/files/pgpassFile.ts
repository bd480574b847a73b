import { RotatorError } from "../../errors.ts";
import { contentProblems } from "./contentProblems.ts";
import { bytesOf, charactersOf, inserted, joined, type Line, linesOf } from "./lines.ts";

/**
 * Puts our lines among the user's own in a PostgreSQL password file. A line of ours is one with the same host, port,
 * database and user; it stays where it is, and all other lines and comments stay as they are, byte for byte.
 *
 * The first line that matches a connection wins, so a new line goes in front of the first one that would hide it (with `*`
 * where ours is particular), and else to the end.
 *
 * @param ours lines as the format `pgpass` makes them.
 * @throws RotatorError `ContentUnfit`
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
export function mergePgpass(existing: Buffer | undefined, ours: Buffer): Buffer {
  let entries = linesOf(charactersOf(existing), lineEnding).map(toEntry);
  for (const entry of wantedEntries(ours)) {
    entries = withEntry(entries, entry);
  }
  return bytesOf(joined(entries));
}

/** libpq takes a carriage return away before a line feed, and only there. */
const lineEnding = /\r?\n/g;

/** A line, and what it matches where it is an entry. */
interface Entry extends Line {
  readonly fields?: readonly string[];
}

interface WantedEntry {
  readonly text: string;
  readonly fields: readonly string[];
}

function wantedEntries(ours: Buffer): WantedEntry[] {
  const lines = linesOf(charactersOf(ours), lineEnding);
  const entries = lines.flatMap(({ text }) => {
    const fields = fieldsOf(text);
    return fields === undefined ? [] : [{ text, fields }];
  });
  if (entries.length === 0 || entries.length < lines.length) {
    throw new RotatorError(contentProblems.ContentUnfit, { facts: { kind: "pgpass" } });
  }
  return entries;
}

function withEntry(entries: readonly Entry[], { text, fields }: WantedEntry): Entry[] {
  const isOurs = (entry: Entry) => entry.fields !== undefined && isEqual(entry.fields, fields);
  const present = entries.findIndex(isOurs);
  const hiding = entries.findIndex((entry) => !isOurs(entry) && hides(entry, fields));
  if (present >= 0 && (hiding < 0 || present < hiding)) {
    // Any further line for the same connection could never be read.
    return entries
      .filter((entry, index) => index <= present || !isOurs(entry))
      .map((entry, index) => (index === present ? { ...entry, text, fields } : entry));
  }
  const others = entries.filter((entry) => !isOurs(entry));
  return inserted(others, hiding < 0 ? others.length : hiding, [text]).map((line) =>
    line.text === text ? { ...line, fields } : line,
  );
}

function toEntry(line: Line): Entry {
  const fields = fieldsOf(line.text);
  return fields === undefined ? line : { ...line, fields };
}

/** Stands for a `*` that is not escaped. No byte is this character. */
const any = "\u{100}";

/** Host, port, database and user, without escapes; `undefined` for a comment and for what is no entry. */
function fieldsOf(text: string): string[] | undefined {
  if (text.startsWith("#")) {
    return undefined;
  }
  const fields: string[] = [];
  let field = "";
  let escaped = false;
  for (let index = 0; index < text.length && fields.length < 4; index += 1) {
    const character = text.charAt(index);
    if (character === ":") {
      fields.push(field === "*" && !escaped ? any : field);
      field = "";
      escaped = false;
    } else if (character === "\\" && index + 1 < text.length) {
      index += 1;
      field += text.charAt(index);
      escaped = true;
    } else {
      field += character;
    }
  }
  return fields.length === 4 ? fields : undefined;
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.every((field, index) => field === b[index]);
}

/** Whether a line matches everything that one with these fields does. */
function hides({ fields }: Entry, hidden: readonly string[]): boolean {
  return fields?.every((field, index) => field === any || field === hidden[index]) ?? false;
}
