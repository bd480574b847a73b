import type { Template } from "liquidjs";
import { decodeJwt } from "../checks/jwt.ts";
import { RotatorError } from "../errors.ts";
import type { Token } from "../ports.ts";
import { percentEncode } from "./endpoint.ts";
import { escapePgpass } from "./pgpass.ts";
import { fieldMissing, formatProblems } from "./rendering.ts";

/*
 * Liquid, cut down to what laying out a token needs: conditions and a few filters. No loops, no assignments, nothing that
 * reads a file, nothing that depends on the time or on chance: equal tokens give equal texts. What a template prints is
 * never read as a template again.
 */

const tags = ["if", "unless", "case", "comment", "raw", "#"];
const filtersOfLiquid = [
  "append",
  "default",
  "downcase",
  "first",
  "join",
  "last",
  "prepend",
  "replace",
  "split",
  "strip",
  "upcase",
];
const ownFilters: Readonly<Record<string, (value: unknown) => string>> = {
  /** Percent-encoded for any part of a URI. */
  urlencode: (value) => percentEncode(textOf(value)),
  /** A JSON value, quotes included. */
  json: (value) => JSON.stringify(value),
  base64: (value) => Buffer.from(textOf(value), "utf8").toString("base64"),
  /** One field of a PostgreSQL password file. */
  pgpass: (value) => escapePgpass(textOf(value)),
};

/** What a template may name, and how many segments the name has at least: of an object only parts can be printed. */
const variables: ReadonlyMap<string, number> = new Map([
  ["token", 1],
  ["expiresOn", 1],
  ["expiresAt", 1],
  ["issuedOn", 1],
  ["claims", 2],
  ["jwt.header", 3],
  ["attributes", 2],
  ["companions", 2],
]);

/** Lays a token out. @throws RotatorError `FormatFieldMissing`, `TemplateInvalid` */
export type CompiledTemplate = (token: Token) => string;

/**
 * Parses a template, once.
 * @throws RotatorError `TemplateInvalid` for wrong syntax, an unknown tag, filter or variable.
 */
export async function compileTemplate(text: string): Promise<CompiledTemplate> {
  const { Liquid } = await import("./liquid.ts");
  const engine = new Liquid({
    strictFilters: true,
    strictVariables: true,
    // `{% if claims.upn %}` and `{{ claims.upn | default: "…" }}` ask whether there is one.
    lenientIf: true,
    ownPropertyOnly: true,
    outputEscape: printable,
    // Templates of templates are looked for in here, and not on the disk.
    templates: {},
    // Characters: a chain of `replace` can multiply a text.
    memoryLimit: 1_000_000,
  });
  keepOnly(engine.tags, tags);
  keepOnly(engine.filters, filtersOfLiquid);
  for (const [name, filter] of Object.entries(ownFilters)) {
    engine.registerFilter(name, filter);
  }

  let templates: Template[];
  let names: readonly (readonly unknown[])[];
  try {
    templates = engine.parse(text);
    names = engine.variableSegmentsSync(templates);
  } catch (cause) {
    throw new RotatorError(formatProblems.TemplateInvalid, { cause, facts: placeOf(cause) });
  }
  const used = names.map(checkedName);
  const companions = new Set(used.filter(([root]) => root === "companions").map(([, name]) => String(name)));
  const readsJwt = used.some(([root]) => root === "claims" || root === "jwt");

  return (token) => {
    const jwt = readsJwt ? decodeJwt(token.value) : undefined;
    const scope = {
      token: token.value.reveal(),
      expiresOn: token.expiresOn.toISOString(),
      expiresAt: Math.floor(token.expiresOn.getTime() / 1000),
      issuedOn: token.issuedOn.toISOString(),
      claims: jwt?.claims ?? {},
      jwt: { header: jwt?.header ?? {} },
      attributes: token.attributes ?? {},
      // Only those that the template names are unwrapped.
      companions: Object.fromEntries(
        Object.entries(token.companions ?? {})
          .filter(([name]) => companions.has(name))
          .map(([name, secret]) => [name, secret.reveal()]),
      ),
    };
    try {
      return engine.renderSync(templates, scope);
    } catch (cause) {
      throw renderError(cause, used);
    }
  };
}

/** Refuses what no token has, and names that are computed: such a name, and so perhaps the token, would be in the error. */
function checkedName(segments: readonly unknown[]): readonly (string | number)[] {
  const isPlain = (segment: unknown) => typeof segment === "string" || typeof segment === "number";
  if (!segments.every(isPlain)) {
    throw invalid({ variable: String(segments[0]), problem: "a name in [brackets] must be a literal" });
  }
  const name = segments as readonly (string | number)[];
  const minimum = variables.get(String(name[0])) ?? variables.get(name.slice(0, 2).join("."));
  if (minimum === undefined) {
    throw invalid({ variable: name.join("."), problem: "there is no such variable" });
  }
  if (name.length < minimum) {
    throw invalid({ variable: name.join("."), problem: "name a part of it" });
  }
  return name;
}

/** Liquid would print `[object Object]`, and the items of a list without anything between them. */
function printable(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    throw invalid({ problem: "an object or a list cannot be printed as it is; use the filter json or join" });
  }
  return textOf(value);
}

function renderError(cause: unknown, used: readonly (readonly (string | number)[])[]): RotatorError {
  const originalError = (cause as { originalError?: unknown }).originalError;
  if (originalError instanceof RotatorError) {
    return originalError;
  }
  const missing = (originalError as { variableName?: unknown } | undefined)?.variableName;
  // Only a name that stands in the template, never something computed.
  const known = used.map((name) => name.join(".")).find((name) => `${name}.`.startsWith(`${missing}.`));
  return missing === undefined
    ? new RotatorError(formatProblems.TemplateInvalid, { cause })
    : fieldMissing(known ?? "unknown");
}

function invalid(facts: Readonly<Record<string, string>>): RotatorError {
  return new RotatorError(formatProblems.TemplateInvalid, { facts });
}

/** The template is configuration and no secret, so the parser's words can be shown. */
function placeOf(cause: unknown): { problem: string } {
  return { problem: cause instanceof Error ? cause.message.slice(0, 200) : "unknown" };
}

function keepOnly(registry: Record<string, unknown>, names: readonly string[]): void {
  for (const name of Object.keys(registry).filter((name) => !names.includes(name))) {
    delete registry[name];
  }
}

function textOf(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}
