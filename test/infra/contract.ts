import { readFileSync } from "node:fs";
import { consumerStates, outcomes } from "../../src/events.ts";

/*
 * What telemetry carries, read from the source of the contract, and what a query takes for granted. Application Insights
 * keeps the numbers of an event as measurements and everything else as properties.
 */

export interface EventShape {
  readonly properties: ReadonlySet<string>;
  readonly measurements: ReadonlySet<string>;
}

/** Every event by its name. A type is gone at run time, so the file itself is read. */
export const events: ReadonlyMap<string, EventShape> = readEvents(
  readFileSync(new URL("../../src/events.ts", import.meta.url), "utf8"),
);

/** The names of the metrics and, the same for each, the properties of a series. */
export const metrics = readMetrics(readFileSync(new URL("../../src/events.ts", import.meta.url), "utf8"));

/** What of a query does not agree with the contract; empty when all is well. */
export function disagreements(query: string): string[] {
  return readings(query).flatMap(({ table, names, properties, measurements, text }) => {
    const known = table === "AppEvents" ? [...events.keys()] : metrics.names;
    const strangers = names
      .filter((name) => !known.includes(name))
      .map((name) => `no ${table} named ${name}`);
    const shapes = table === "AppEvents" ? names.flatMap((name) => events.get(name) ?? []) : [metrics.shape];
    const has = (kind: keyof EventShape, name: string) => shapes.some((shape) => shape[kind].has(name));
    return [
      ...(names.length === 0 ? [`${table} without a filter on Name`] : strangers),
      ...properties
        .filter((name) => !has("properties", name))
        .map((name) => `no property ${name} on ${names}`),
      ...measurements
        .filter((name) => !has("measurements", name))
        .map((name) => `no measurement ${name} on ${names}`),
      ...compared(text, "outcome")
        .filter((word) => !(word in outcomes))
        .map((word) => `no outcome ${word}`),
      ...compared(text, "state")
        .filter((word) => !(consumerStates as readonly string[]).includes(word))
        .map((word) => `no state ${word}`),
    ];
  });
}

/** The names of the events that a query looks at. */
export function eventsRead(query: string): string[] {
  return readings(query).flatMap(({ table, names }) => (table === "AppEvents" ? names : []));
}

interface Reading {
  readonly table: "AppEvents" | "AppMetrics";
  readonly names: readonly string[];
  readonly properties: readonly string[];
  readonly measurements: readonly string[];
  readonly text: string;
}

/** A query, cut where it begins to read a table; what follows up to the next cut speaks of rows of that table. */
function readings(query: string): Reading[] {
  const code = query.replaceAll(/\/\/.*$/gm, "");
  return code.split(/\b(?=App(?:Events|Metrics)\b)/).flatMap((part) => {
    const table = /^App(?:Events|Metrics)\b/.exec(part)?.[0] as Reading["table"] | undefined;
    const text = part.split(";")[0] ?? "";
    return table === undefined
      ? []
      : [
          {
            table,
            names: compared(text, "Name"),
            properties: membersOf(text, "Properties"),
            measurements: membersOf(text, "Measurements"),
            text,
          },
        ];
  });
}

/** The texts that a column, or a property of that name, is compared with. */
function compared(text: string, column: string): string[] {
  const comparison = new RegExp(`\\b${column}\\)?\\s*(?:[!=][=~]|!?in~?)\\s*(\\([^)]*\\)|"[^"]*")`, "g");
  return [...text.matchAll(comparison)].flatMap(([, operand = ""]) =>
    [...operand.matchAll(/"([^"]*)"/g)].map(([, word = ""]) => word),
  );
}

function membersOf(text: string, column: string): string[] {
  const member = new RegExp(`\\b${column}(?:\\.(\\w+)|\\["(\\w+)"\\])`, "g");
  return [...text.matchAll(member)].map(([, dotted, quoted]) => dotted ?? quoted ?? "");
}

function readEvents(source: string): Map<string, EventShape> {
  const shared = new Map(
    [...source.matchAll(/^interface (\w+) \{\n(.*?)^\}/gms)].map(([, name = "", body = ""]) => [
      name,
      fieldsOf(body),
    ]),
  );
  const body = /^export interface EventProperties \{\n(.*?)^\}/ms.exec(source)?.[1] ?? "";
  const members = [...withoutComments(body).matchAll(/^ {2}(\w+): ((?:[^{};]|\{[^}]*\})*);/gms)];
  return new Map(
    members.map(([, name = "", type = ""]) => {
      const own = /\{(.*)\}/s.exec(type)?.[1] ?? "";
      const inherited = [...shared].filter(([part]) => new RegExp(`\\b${part}\\b`).test(type));
      const fields = new Map([...inherited.flatMap(([, part]) => [...part]), ...fieldsOf(own)]);
      return [name, shapeOf(fields)];
    }),
  );
}

function readMetrics(source: string): { readonly names: readonly string[]; readonly shape: EventShape } {
  const body = /^export interface TelemetryMetric \{\n(.*?)^\}/ms.exec(source)?.[1] ?? "";
  const names = /\bname: (.*);/.exec(body)?.[1] ?? "";
  const properties = /\bproperties: \{(.*)\}/.exec(body)?.[1] ?? "";
  return {
    names: [...names.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name),
    shape: shapeOf(fieldsOf(properties.replaceAll("readonly ", ""))),
  };
}

/** `operation` is added to every event by the engine. */
function shapeOf(fields: ReadonlyMap<string, string>): EventShape {
  const named = (isNumber: boolean) =>
    [...fields].filter(([, type]) => (type === "number") === isNumber).map(([name]) => name);
  return { properties: new Set([...named(false), "operation"]), measurements: new Set(named(true)) };
}

function fieldsOf(body: string): Map<string, string> {
  const fields = withoutComments(body).matchAll(/(\w+)\??:\s*([^;]+)(?:;|$)/g);
  return new Map([...fields].map(([, name = "", type = ""]) => [name, type.trim()]));
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*.*?\*\//gs, "");
}
