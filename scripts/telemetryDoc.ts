import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { outcomes } from "../src/events.ts";
import {
  consumerStateMeanings,
  eventContract,
  metricContract,
  metricProperties,
  outcomeMeanings,
  type PropertyDescription,
  reasonMeanings,
  stageMeanings,
} from "../src/telemetry/contract.ts";

/*
 * Writes the tables of `docs/telemetry.md` between their two marks: `node scripts/telemetryDoc.ts`. A test fails while they
 * are not what the contract says.
 */

export const documentFile = fileURLToPath(new URL("../docs/telemetry.md", import.meta.url));

const beginning = "<!-- From src/telemetry/contract.ts, by scripts/telemetryDoc.ts. -->\n";
const end = "<!-- End of what is generated. -->\n";

/** The document with its tables as the contract has them. */
export function withContract(document: string): string {
  const [before, after] = [document.indexOf(beginning), document.indexOf(end)];
  if (before < 0 || after < before) {
    throw new Error("docs/telemetry.md has lost the marks between which its tables are written.");
  }
  return `${document.slice(0, before + beginning.length)}\n${contract()}\n${document.slice(after)}`;
}

function contract(): string {
  return [
    "## Events",
    "",
    ...table(
      ["event", "when"],
      Object.entries(eventContract).map(([name, { when }]) => [
        `[\`${name}\`](#${name.toLowerCase()})`,
        when,
      ]),
    ),
    "",
    "Every event also has the property `operation` (text), the same in all events of one tick.",
    "",
    ...Object.entries(eventContract).flatMap(([name, { when, properties }]) => [
      `### ${name}`,
      "",
      when,
      "",
      ...propertyTable(properties),
      "",
    ]),
    "## Metrics",
    "",
    ...table(
      ["metric", "value"],
      Object.entries(metricContract).map(([name, meaning]) => [`\`${name}\``, meaning]),
    ),
    "",
    "One series per output, told by every tick for every secret that the rotator has written:",
    "",
    ...propertyTable(metricProperties),
    "",
    "## Words",
    "",
    "### Outcomes",
    "",
    ...table(
      ["outcome", "event", "meaning"],
      Object.entries(outcomes).map(([name, event]) => [
        `\`${name}\``,
        `\`${event}\``,
        outcomeMeanings[name as keyof typeof outcomes],
      ]),
    ),
    "",
    "### Reasons",
    "",
    ...words("reason", reasonMeanings),
    "",
    "### Stages",
    "",
    ...words("stage", stageMeanings),
    "",
    "### States of a consumer",
    "",
    ...words("state", consumerStateMeanings),
    "",
  ].join("\n");
}

function propertyTable(properties: Readonly<Record<string, PropertyDescription>>): string[] {
  return table(
    ["name", "type", "kept in", "meaning"],
    Object.entries(properties).map(([name, { type, optional, meaning }]) => [
      `\`${name}\``,
      optional ? `${type}, optional` : type,
      type === "number" ? "`Measurements`" : "`Properties`",
      meaning,
    ]),
  );
}

function words(heading: string, meanings: Readonly<Record<string, string>>): string[] {
  return table(
    [heading, "meaning"],
    Object.entries(meanings).map(([name, meaning]) => [`\`${name}\``, meaning]),
  );
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(headings), line(headings.map(() => "---")), ...rows.map(line)];
}

if (import.meta.main) {
  await writeFile(documentFile, withContract(await readFile(documentFile, "utf8")));
}
