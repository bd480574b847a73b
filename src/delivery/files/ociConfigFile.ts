import { RotatorError } from "../../errors.ts";
import { contentProblems } from "./contentProblems.ts";
import { bytesOf, charactersOf, charactersOfText, inserted, joined, type Line, linesOf } from "./lines.ts";

/**
 * Puts a profile into an OCI configuration file (`~/.oci/config`). Within the profile only the keys that are given are
 * replaced or added; all else in the file stays as it is, byte for byte.
 *
 * The file is read as Python's `configparser` does it, which the OCI CLI uses: a line that is indented more deeply than the
 * key before it goes on with that key's value, whatever it looks like.
 *
 * @param settings values are one line each.
 * @throws RotatorError `ProfileNotOurs`, `ContentUnfit`
 * https://docs.python.org/3/library/configparser.html#supported-ini-file-structure
 */
export function mergeProfile(
  existing: Buffer | undefined,
  profile: string,
  settings: Readonly<Record<string, string>>,
): Buffer {
  const wanted = new Map(Object.entries(settings).map(([key, value]) => [key, charactersOfText(value)]));
  if ([...wanted.values()].some((value) => /[\r\n]/.test(value))) {
    throw new RotatorError(contentProblems.ContentUnfit, { facts: { kind: "oci-session" } });
  }
  const lines = classified(linesOf(charactersOf(existing), /\r\n|\n|\r/g));
  const isOurs = (line: ConfigLine) => line.section === profile;
  const keys = new Set(lines.filter(isOurs).map(({ key }) => key));
  if (keys.has("key_file") && !keys.has("security_token_file")) {
    throw new RotatorError(contentProblems.ProfileNotOurs, { facts: { profile } });
  }
  const missing = new Map(wanted);
  const kept: ConfigLine[] = [];
  for (const line of lines) {
    const value = isOurs(line) && line.key !== undefined ? wanted.get(line.key) : undefined;
    if (value === undefined || line.key === undefined) {
      kept.push(line);
    } else if (line.kind === "key" && missing.delete(line.key)) {
      // With its indentation: without it, the next key would be taken for a part of this one's value.
      kept.push({ ...line, text: `${line.indentation}${line.key}=${value}` });
    }
  }
  return bytesOf(joined(withMissing(kept, profile, missing)));
}

interface ConfigLine extends Line {
  /** `blank` also for comments; `other` is what no reader takes. */
  readonly kind: "section" | "key" | "continuation" | "blank" | "other";
  readonly indentation: string;
  /** The section that it stands in, or that it begins. */
  readonly section?: string;
  /** In lower case; for a continuation, the key whose value goes on. */
  readonly key?: string;
}

function classified(lines: readonly Line[]): ConfigLine[] {
  let section: string | undefined;
  let key: string | undefined;
  let depth = 0;
  return lines.map((line): ConfigLine => {
    const indentation = /^[ \t\v\f]*/.exec(line.text)?.[0] ?? "";
    const content = line.text.slice(indentation.length);
    const common = { ...line, indentation, ...(section === undefined ? {} : { section }) };
    if (content === "" || content.startsWith("#") || content.startsWith(";")) {
      return { ...common, kind: "blank" };
    }
    if (key !== undefined && indentation.length > depth) {
      return { ...common, kind: "continuation", key };
    }
    depth = indentation.length;
    const header = /^\[(.+)\]/.exec(content)?.[1];
    if (header !== undefined) {
      section = header;
      key = undefined;
      return { ...common, kind: "section", section };
    }
    key = /^(.*?)\s*[=:]/.exec(content)?.[1]?.toLowerCase();
    return key === undefined ? { ...common, kind: "other" } : { ...common, kind: "key", key };
  });
}

function withMissing(
  lines: readonly ConfigLine[],
  profile: string,
  missing: ReadonlyMap<string, string>,
): readonly Line[] {
  const added = [...missing].map(([key, value]) => `${key}=${value}`);
  const last = lines.findLastIndex(({ section, kind }) => section === profile && kind !== "blank");
  if (last < 0) {
    const separator = lines.length === 0 || lines.at(-1)?.text === "" ? [] : [""];
    return inserted(lines, lines.length, [...separator, `[${profile}]`, ...added]);
  }
  if (added.length === 0) {
    return lines;
  }
  const indentation = indentationAfter(lines, last);
  return inserted(
    lines,
    last + 1,
    added.map((line) => `${indentation}${line}`),
  );
}

/**
 * As deep as the section's own lines: deeper, a key would be part of the value before it. And in an empty section as deep as
 * the next section begins: else that would be part of the key's value.
 */
function indentationAfter(lines: readonly ConfigLine[], last: number): string {
  const begun = lines.slice(0, last + 1).findLast(({ kind }) => kind === "section" || kind === "key");
  const next = lines.slice(last + 1).find(({ kind }) => kind === "section");
  const own = begun?.indentation ?? "";
  return begun?.kind === "section" && next !== undefined && next.indentation.length > own.length
    ? next.indentation
    : own;
}
