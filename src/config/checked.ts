import { hash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { version } from "../version.ts";
import { deepFreeze } from "./canonical.ts";
import type { Configuration } from "./configuration.ts";

/*
 * A configuration that was checked when the app was packaged, in a file beside it. To load the schemas and to check by them
 * takes longer than everything else at a cold start, and the outcome is known beforehand. The copy counts only for the very
 * text, product version and vault that it was made of: whoever changes the file gets it checked.
 */

type Environment = Readonly<Record<string, string | undefined>>;

interface Checked {
  readonly key: string;
  readonly configuration: Omit<Configuration, "file" | "directory">;
}

/** `rotations.checked.json` for `rotations.json`. */
export function checkedFileOf(file: string): string {
  return join(dirname(file), `${basename(file, ".json")}.checked.json`);
}

/** @returns `undefined` where there is no copy, or one of something else; then the file must be checked. */
export async function readChecked(
  file: string,
  text: string,
  environment: Environment,
): Promise<Configuration | undefined> {
  let checked: Checked | null;
  try {
    checked = JSON.parse(await readFile(checkedFileOf(file), "utf8"));
  } catch {
    return undefined;
  }
  const keys = [keyOf(text, ownVault), keyOf(text, environment.KEY_VAULT_URL ?? "")];
  return checked !== null && keys.includes(checked.key)
    ? deepFreeze({ file: resolve(file), directory: dirname(resolve(file)), ...checked.configuration })
    : undefined;
}

/**
 * Writes the copy for `configuration`, which was made of `text` in this environment, beside `file`.
 * @returns its path
 */
export async function writeChecked(
  file: string,
  text: string,
  { file: _file, directory: _directory, ...configuration }: Configuration,
  environment: Environment,
): Promise<string> {
  const namesVault = typeof JSON.parse(text.replace(/^\uFEFF/, "")).vault === "string";
  const key = keyOf(text, namesVault ? ownVault : (environment.KEY_VAULT_URL ?? ""));
  const path = checkedFileOf(file);
  await writeFile(path, JSON.stringify({ key, configuration } satisfies Checked));
  return path;
}

/** The configuration names its vault itself, whatever the environment says. */
const ownVault = null;

function keyOf(text: string, vault: string | null): string {
  return hash("sha256", JSON.stringify([version, vault, text]), "hex");
}
