import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fc } from "../properties.ts";

/*
 * No pattern of ours may take long over a text that somebody else has written. Every regular expression in the sources, and
 * every pattern in the published schema, is run on texts that nearly match: what it accepts, with a part of it repeated
 * some thousand times and an end that it refuses. Steps that grow with the cube of the length, or faster, cannot hide there.
 */

const length = 2_000;
const budgetMs = 25;

interface Pattern {
  readonly where: string;
  readonly source: string;
  readonly flags: string;
}

const commonParts = [
  "a",
  "A",
  "0",
  " ",
  "\t",
  "\n",
  "/",
  "\\",
  ".",
  "-",
  "_",
  "=",
  '"',
  "%",
  "a.",
  "0.",
  "a ",
  '\\"',
  "{{",
  "é",
];

const literal =
  /(?<![\w)\]/*"'`.:]\s?)\/(?<source>(?![*/])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[])+)\/(?<flags>[dgimsuvy]*)/g;

const patterns = distinct([...inSources("src"), ...inSources("functions"), ...inSchema()]);

describe("patterns", () => {
  test("are found", () => {
    assert.ok(patterns.length > 80, String(patterns.length));
    for (const known of ["^[a-z0-9][a-z0-9-]{0,62}$", "\\/$", "^\\d{1,9}$"]) {
      assert.ok(
        patterns.some(({ source }) => source === known),
        known,
      );
    }
  });

  test("take no time over texts that nearly match", () => {
    const slow = patterns.flatMap((pattern) => {
      const text = slowest(pattern);
      return text === undefined ? [] : [`${pattern.where}: /${pattern.source}/${pattern.flags} on ${text}`];
    });
    assert.deepEqual(slow, []);
  });

  test("that would take long are told", () => {
    for (const source of ["^(a+)+$", "^(?:[a-z]+[0-9]?)*$"]) {
      assert.notEqual(slowest({ where: "here", source, flags: "" }), undefined, source);
    }
  });
});

/** What it takes longer over than it may, in words. */
function slowest({ source, flags }: Pattern): string | undefined {
  const expression = new RegExp(source, flags.replace("g", ""));
  for (const { text, words } of nearMatches(expression)) {
    // Twice, because the first time an expression is compiled.
    if ([1, 2].every(() => milliseconds(expression, text) > budgetMs)) {
      return words;
    }
  }
  return undefined;
}

/** Of the processor, not of the clock: on a busy machine those differ. */
function milliseconds(expression: RegExp, text: string): number {
  const before = process.threadCpuUsage();
  expression.test(text);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

function* nearMatches(expression: RegExp): Generator<{ readonly text: string; readonly words: string }> {
  for (const whole of ["", ...samples(expression)]) {
    for (let start = 0; start < Math.max(1, Math.min(whole.length, 10)); start += 1) {
      for (const size of [1, 3]) {
        const [before, part, after] = [
          whole.slice(0, start),
          whole.slice(start, start + size),
          whole.slice(start + size),
        ];
        for (const repeated of part === "" ? commonParts : [part]) {
          // Short before long: a pattern that takes exponential time would otherwise never come back.
          for (const count of [23, length / repeated.length]) {
            for (const end of ["\u0000", " !"]) {
              yield {
                text: before + repeated.repeat(count) + end + after,
                words: `${JSON.stringify(repeated)} × ${Math.round(count)} within ${JSON.stringify(whole)}`,
              };
            }
          }
        }
      }
    }
  }
}

function samples(expression: RegExp): string[] {
  try {
    // In other words, because fast-check makes a table of the million characters that `\P{Cc}` stands for.
    const source = expression.source.replaceAll("\\P{Cc}", "[^\\0-\\x1f\\x7f-\\x9f]");
    return fc.sample(fc.stringMatching(new RegExp(source, expression.flags)), { numRuns: 1, seed: 7 });
  } catch {
    // It has something that fast-check does not know, such as a look-behind or a script; the common parts are left.
    return [];
  }
}

/** Literals: what stands between slashes where an expression may begin. Those that do not compile were divisions. */
function inSources(folder: string): Pattern[] {
  const root = new URL(`../../${folder}/`, import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  return files.flatMap((file) =>
    readFileSync(new URL(file.replaceAll("\\", "/"), root), "utf8")
      .split("\n")
      .filter((line) => !/^\s*(?:\*|\/\*|\/\/)/.test(line))
      .flatMap((line) => [...line.matchAll(literal)])
      .flatMap(({ groups: { source = "", flags = "" } = {} }) =>
        compiles(source, flags) ? [{ where: `${folder}/${file}`, source, flags }] : [],
      ),
  );
}

/** Also those that are put together of parts. */
function inSchema(): Pattern[] {
  const text = readFileSync(new URL("../../rotations.schema.json", import.meta.url), "utf8");
  const found: Pattern[] = [];
  JSON.parse(text, (key, value) => {
    if (key === "pattern" && typeof value === "string") {
      found.push({ where: "rotations.schema.json", source: value, flags: "u" });
    }
    return value;
  });
  return found.map((pattern) => (compiles(pattern.source, "u") ? pattern : { ...pattern, flags: "" }));
}

function compiles(source: string, flags: string): boolean {
  try {
    new RegExp(source, flags);
    return true;
  } catch {
    return false;
  }
}

function distinct(all: readonly Pattern[]): Pattern[] {
  return [...new Map(all.map((pattern) => [`${pattern.source} ${pattern.flags}`, pattern])).values()];
}
