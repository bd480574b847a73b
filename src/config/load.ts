import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { problems, RotatorError } from "../errors.ts";
import { digestOf, readChecked } from "./checked.ts";
import type { Configuration } from "./configuration.ts";

const loadProblems = problems({
  ConfigurationUnreadable: {
    message: "The configuration file cannot be read.",
    remedy: "Check that it is there and may be read, or name another one with --config or ROTATIONS_FILE.",
    retryable: false,
  },
  ConfigurationNotAFile: {
    message: "The configuration is a directory, a pipe or a device.",
    remedy: "Name a file with --config or ROTATIONS_FILE: every tick reads it again.",
    retryable: false,
  },
  ConfigurationNotUtf8: {
    message: "The configuration file is not UTF-8 text.",
    remedy: "Save it as UTF-8; the redirection of Windows PowerShell writes UTF-16.",
    retryable: false,
  },
});

export interface LoadOptions {
  /** Default: `ROTATIONS_FILE`, or `rotations.json` in the working directory. */
  readonly file?: string;
  /** `KEY_VAULT_URL` is the vault where the file names none. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told how long the file is, before it is checked. */
  readonly onRead?: (bytes: number) => void;
}

/**
 * Reads and checks a configuration. A fault inside a rotation blocks that rotation and is in `problems`.
 * @throws RotatorError `ConfigurationUnreadable`, `ConfigurationNotAFile`, `ConfigurationNotUtf8`, `ConfigurationNotJson`;
 * `ConfigurationInvalidError` where nothing can be run.
 */
export async function loadConfiguration({ file, environment, onRead }: LoadOptions): Promise<Configuration> {
  const path = file ?? (environment.ROTATIONS_FILE || "rotations.json");
  const bytes = await readBytes(path);
  onRead?.(bytes.length);
  const digest = digestOf(bytes);
  const key = JSON.stringify([resolve(path), environment.KEY_VAULT_URL, digest]);
  if (latest?.key !== key) {
    const checked = await readChecked(path, digest, environment);
    latest = { key, configuration: checked ?? (await check(path, bytes, environment)) };
  }
  return latest.configuration;
}

/** Every tick reads the file; while it says the same, checking it again would only cost time. */
let latest: { readonly key: string; readonly configuration: Configuration } | undefined;

async function readBytes(file: string): Promise<Uint8Array> {
  const unreadable = (cause: unknown) => {
    throw new RotatorError(loadProblems.ConfigurationUnreadable, {
      cause,
      facts: { file, ...errorCode(cause) },
    });
  };
  // A pipe that nobody writes to would keep the process for ever, and even from ending.
  if (!(await stat(file).catch(unreadable)).isFile()) {
    throw new RotatorError(loadProblems.ConfigurationNotAFile, { facts: { file } });
  }
  return await readFile(file).catch(unreadable);
}

/** The schemas are loaded only here: most starts of the app find the file checked already. */
async function check(
  file: string,
  bytes: Uint8Array,
  environment: LoadOptions["environment"],
): Promise<Configuration> {
  const { parseConfiguration } = await import("./parse.ts");
  return parseConfiguration(decode(file, bytes), { file, environment });
}

function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RotatorError(loadProblems.ConfigurationNotUtf8, { cause, facts: { file } });
  }
}

function errorCode(cause: unknown): { errorCode?: string } {
  const code = (cause as { code?: unknown }).code;
  return typeof code === "string" ? { errorCode: code } : {};
}
