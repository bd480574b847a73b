/** Where an HTTP function answers. */
export interface HttpRoute {
  /** The whole path: `/api/items/{id}`. */
  readonly path: string;
  /** Sorts before the ranks of less specific routes: text comes before a parameter, a parameter before a catch-all. */
  readonly rank: string;
  /** The parameters when a path (percent-encoded, without the query) is of this route; otherwise `undefined`. */
  match(path: string): Record<string, string> | undefined;
}

/**
 * Reads a route template as ASP.NET Core does, as far as functions commonly need it: `items/{id}`, `items/{id?}`,
 * `files/{*path}`, without regard to case. `undefined` where it has something else (a constraint like `{id:int}`).
 */
export function parseRoute(template: string): HttpRoute | undefined {
  const texts = [routePrefix, ...template.split("/").filter((text) => text !== "")];
  const segments = texts.map(parseSegment);
  if (!segments.every((segment) => segment !== undefined)) {
    return undefined;
  }
  return {
    path: `/${texts.join("/")}`,
    rank: segments.map(({ kind }) => kinds.indexOf(kind)).join(""),
    match: (path) => {
      try {
        return match(segments, path.split("/").filter(Boolean).map(decodeURIComponent));
      } catch {
        return undefined;
      }
    },
  };
}

/** The default of `extensions.http.routePrefix` in `host.json`. */
const routePrefix = "api";

const kinds = ["text", "parameter", "optional", "rest"] as const;

interface Segment {
  readonly kind: (typeof kinds)[number];
  /** The text, or the parameter's name. */
  readonly name: string;
}

function parseSegment(text: string): Segment | undefined {
  if (!/[{}]/.test(text)) {
    return { kind: "text", name: text };
  }
  const { rest, name, optional } =
    /^\{(?<rest>\*?)(?<name>[A-Za-z_]\w*)(?<optional>\??)\}$/.exec(text)?.groups ?? {};
  if (name === undefined) {
    return undefined;
  }
  return { name, kind: rest === "*" ? "rest" : optional === "?" ? "optional" : "parameter" };
}

function match(segments: readonly Segment[], path: readonly string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, { kind, name }] of segments.entries()) {
    const part = path[index];
    if (kind === "rest") {
      parameters[name] = path.slice(index).join("/");
      return parameters;
    }
    if (kind === "text") {
      if (part?.toLowerCase() !== name.toLowerCase()) {
        return undefined;
      }
    } else if (part !== undefined) {
      parameters[name] = part;
    } else if (kind === "parameter") {
      return undefined;
    }
  }
  return path.length > segments.length ? undefined : parameters;
}
