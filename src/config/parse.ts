import { dirname, resolve } from "node:path";
import * as z from "zod";
import { problems, RotatorError } from "../errors.ts";
import { deepFreeze, shortHashOfList } from "./canonical.ts";
import type { Configuration, RotationConfiguration } from "./configuration.ts";
import { parseDuration } from "./duration.ts";
import { vaultOrigin, vaultUrl } from "./fields.ts";
import { Findings } from "./findings.ts";
import { check } from "./issues.ts";
import { type JsonPath, readJson } from "./json.ts";
import { findLiteralSecrets } from "./literalSecrets.ts";
import { type ConfigProblem, ConfigurationInvalidError, isShowable } from "./problems.ts";
import { registries as builtIn, type Registries } from "./registries.ts";
import { isObject, type Surroundings } from "./resolve.ts";
import { RotationReader } from "./rotation.ts";
import { rotationName, topLevel, topLevelDefaults } from "./schema.ts";

const parseProblems = problems({
  ConfigurationNotJson: {
    message: "The configuration is not JSON.",
    remedy:
      "Mend it at the line and column in the facts; JSON has no comments and no comma after the last entry.",
    retryable: false,
  },
});

export interface ParseOptions {
  /** Where the text comes from. */
  readonly file: string;
  /** `KEY_VAULT_URL` is the vault where the text names none. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly registries?: Registries;
}

/**
 * Checks the text of a configuration and resolves it. A fault inside a rotation blocks that rotation and is in `problems`.
 * @throws RotatorError `ConfigurationNotJson`; {@link ConfigurationInvalidError} where nothing can be run.
 */
export function parseConfiguration(text: string, options: ParseOptions): Configuration {
  const { file, environment, registries = builtIn } = options;
  const json = readJson(text.replace(/^\uFEFF/, ""));
  if (!json.ok) {
    const { offset, expected, found } = json;
    throw new RotatorError(parseProblems.ConfigurationNotJson, {
      facts: { file, ...lineAndColumn(text, offset), expected, found },
    });
  }
  const findings = new Findings();
  reportForAll(json.value, json.duplicates, findings);
  const top = readTopLevel(json.value, environment, findings);

  const reader = new RotationReader(registries, top, findings);
  const rotations = rotationEntries(json.value).map(([name, raw], index): RotationConfiguration => {
    const path = ["rotations", name] as const;
    for (const problem of problemsOf(check(rotationName, name, path))) {
      findings.add(path, { ...problem, code: "InvalidName" });
    }
    const { ready, outputs } = reader.read(path, raw);
    const faults = findings.ofRotation(name);
    return ready === undefined || faults.length > 0
      ? { state: "blocked", name: isShowable(name) ? name : `#${index + 1}`, faults, outputs }
      : ready;
  });
  const all = [...findings.general, ...rotations.flatMap(({ faults }) => faults)];
  if (findings.general.length > 0) {
    throw new ConfigurationInvalidError(file, all);
  }
  const path = resolve(file);
  return deepFreeze({
    file: path,
    directory: dirname(path),
    ...top,
    hash: shortHashOfList([top, ...rotationEntries(json.value)], 12),
    rotations,
    problems: all,
  });
}

/** What the whole document is searched for, whatever its shape. */
function reportForAll(document: unknown, duplicates: readonly JsonPath[], findings: Findings): void {
  for (const path of duplicates) {
    findings.report(path, "DuplicateKey", "stands twice in the same object; remove one of the two");
  }
  dropForbiddenKeys(document, findings);
  findLiteralSecrets(document, (path, what) =>
    findings.report(
      path,
      "LiteralSecret",
      `looks like ${what}; take it out, put it into Key Vault, refer to it as { "secret": "NAME-OF-IT" }, and replace the secret where this file was shared`,
    ),
  );
}

const forbiddenKeys = new Set(["__proto__", "constructor", "prototype"]);

/** They are names in JSON but reach into the objects of the program that reads it. */
function dropForbiddenKeys(
  value: unknown,
  findings: Findings,
  /** Of `value`; the walk has one path, which it extends and shortens. */
  path: (string | number)[] = [],
): void {
  if (typeof value !== "object" || value === null) {
    return;
  }
  for (const key of Object.keys(value)) {
    const child = (value as Record<string, unknown>)[key];
    path.push(Array.isArray(value) ? Number(key) : key);
    if (forbiddenKeys.has(key)) {
      findings.report([...path], "ForbiddenKey", "is a name that is not taken here; use another one");
      // The name of a rotation stays, so that its fault has a rotation to block.
      if (path.length !== 2 || path[0] !== "rotations") {
        Reflect.deleteProperty(value, key);
      }
    }
    dropForbiddenKeys(child, findings, path);
    path.pop();
  }
}

function readTopLevel(
  document: unknown,
  environment: ParseOptions["environment"],
  findings: Findings,
): Surroundings {
  const checked = check(topLevel, document, []);
  for (const problem of problemsOf(checked)) {
    findings.add([], problem);
  }
  // Where the top level is wrong, what is inside the rotations is still told, as if the defaults were meant.
  const { vault, tick, retryBudget } = checked.ok ? checked.value : { vault: undefined, ...topLevelDefaults };
  return {
    vault: checked.ok ? originOf(vault, environment, findings) : "",
    tickMs: parseDuration(tick) ?? 0,
    retryBudgetMs: parseDuration(retryBudget) ?? 0,
  };
}

function originOf(
  vault: string | undefined,
  environment: ParseOptions["environment"],
  findings: Findings,
): string {
  const address = vault ?? (environment.KEY_VAULT_URL || undefined);
  if (address === undefined) {
    findings.report(
      ["vault"],
      "Missing",
      "is missing; write the address of your vault, or set KEY_VAULT_URL",
    );
    return "";
  }
  if (!vaultUrl(z).safeParse(address).success) {
    findings.report(
      ["vault"],
      "InvalidValue",
      "comes from the variable KEY_VAULT_URL, which is not the address of a vault; set it to https://NAME.vault.azure.net",
    );
    return "";
  }
  return vaultOrigin(address);
}

function rotationEntries(document: unknown): readonly [string, unknown][] {
  const rotations = isObject(document) ? document.rotations : undefined;
  return isObject(rotations) ? Object.entries(rotations) : [];
}

function problemsOf(checked: ReturnType<typeof check>): readonly ConfigProblem[] {
  return checked.ok ? [] : checked.problems;
}

function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.replace(/^\uFEFF/, "").slice(0, offset);
  const lines = before.split(/\r\n|\r|\n/);
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
}
