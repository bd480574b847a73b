import { readdirSync, readFileSync } from "node:fs";

const folder = new URL("../../infra/queries/", import.meta.url);

/** The alerts' queries by their names. */
export const alertQueries: ReadonlyMap<string, string> = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith(".kql"))
    .sort()
    .map((file) => [file.slice(0, -".kql".length), readFileSync(new URL(file, folder), "utf8")]),
);

/** The names in braces that the template fills in. */
export function placeholdersOf(text: string): string[] {
  return [...new Set([...text.matchAll(/\{([a-zA-Z]\w*)\}/g)].map(([, name = ""]) => name))];
}
