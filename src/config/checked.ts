import { hash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { version } from "../version.ts";
import { deepFreeze } from "./canonical.ts";
import type { Configuration, RotationConfiguration } from "./configuration.ts";

/*
 * A configuration that was checked when the app was packaged, in a file beside it. To load the schemas and to check by them
 * takes longer than everything else at a cold start, and the outcome is known beforehand. The copy counts only for the very
 * content, product version and vault that it was made of: whoever changes the file gets it checked.
 */

type Environment = Readonly<Record<string, string | undefined>>;

interface Checked {
  readonly key: string;
  readonly configuration: Omit<Configuration, "file" | "directory" | "rotations">;
  /** What rotations have in common: each without its name and the names of its secrets. */
  readonly kinds: readonly RotationConfiguration[];
  /** Name, names of the outputs' secrets, and position of the kind. */
  readonly rotations: readonly (readonly [name: string, secrets: readonly string[], kind: number])[];
}

/** `rotations.checked.json` for `rotations.json`. */
export function checkedFileOf(file: string): string {
  return join(dirname(file), `${basename(file, ".json")}.checked.json`);
}

/** What a file is known by. */
export function digestOf(content: string | Uint8Array): string {
  return hash("sha256", content);
}

/**
 * @param digest Of the file's content.
 * @returns `undefined` where there is no copy, or one of something else; then the file must be checked.
 */
export async function readChecked(
  file: string,
  digest: string,
  environment: Environment,
): Promise<Configuration | undefined> {
  let checked: Checked | null;
  try {
    checked = JSON.parse(await readFile(checkedFileOf(file), "utf8"));
  } catch {
    return undefined;
  }
  const keys = [keyOf(digest, ownVault), keyOf(digest, environment.KEY_VAULT_URL ?? "")];
  return checked !== null && keys.includes(checked.key)
    ? deepFreeze({
        file: resolve(file),
        directory: dirname(resolve(file)),
        ...checked.configuration,
        rotations: checked.rotations.map(([name, secrets, kind]) =>
          named(checked.kinds[kind] as RotationConfiguration, name, secrets),
        ),
      })
    : undefined;
}

/** Writes the copy for `configuration`, which was made of `text` in this environment, beside `file`. */
export async function writeChecked(
  file: string,
  text: string,
  { file: _file, directory: _directory, rotations, ...configuration }: Configuration,
  environment: Environment,
): Promise<void> {
  const namesVault = typeof JSON.parse(text.replace(/^\uFEFF/, "")).vault === "string";
  const key = keyOf(digestOf(text), namesVault ? ownVault : (environment.KEY_VAULT_URL ?? ""));
  const kinds = new Map<string, { readonly position: number; readonly kind: RotationConfiguration }>();
  const written = rotations.map((rotation) => {
    const secrets = rotation.outputs.map(({ secret }) => secret);
    const kind = named(rotation, "", Array<string>(secrets.length).fill(""));
    const text = JSON.stringify(kind);
    const known = kinds.get(text) ?? { position: kinds.size, kind };
    kinds.set(text, known);
    return [rotation.name, secrets, known.position] as const;
  });
  const checked: Checked = {
    key,
    configuration,
    kinds: [...kinds.values()].map(({ kind }) => kind),
    rotations: written,
  };
  await writeFile(checkedFileOf(file), JSON.stringify(checked));
}

/** The same with other names; the rest is not copied. */
function named(
  rotation: RotationConfiguration,
  name: string,
  secrets: readonly string[],
): RotationConfiguration {
  const outputs = rotation.outputs.map((output, index) => ({ ...output, secret: secrets[index] ?? "" }));
  return { ...rotation, name, outputs } as RotationConfiguration;
}

/** The configuration names its vault itself, whatever the environment says. */
const ownVault = null;

function keyOf(digest: string, vault: string | null): string {
  return digestOf(JSON.stringify([version, vault, digest]));
}
