import { dirname, join, resolve } from "node:path";
import type {
  Configuration,
  FileDelivery,
  OutputConfiguration,
  ReadyRotation,
} from "../../config/configuration.ts";
import { outputsOfFile } from "../../config/delivery.ts";
import type { Timing } from "../../core/rotation.ts";
import { asRotatorError, problems, RotatorError } from "../../errors.ts";
import { rotationsNamed } from "../../rotationsNamed.ts";
import { sessionFiles } from "./ociSession.ts";

const targetProblems = problems({
  NothingToPull: {
    message: "None of these rotations has files to write on a host.",
    remedy: "Add `files` to a rotation in the configuration: which output goes to which path.",
    retryable: false,
  },
  RotationBlocked: {
    message: "The rotation has a fault in the configuration, so its files are left as they are.",
    remedy: "Mend what `token-rotator validate` names.",
    retryable: false,
  },
});

/** One entry of a rotation's `files`, with all that bringing it to the host takes. */
export interface PullTarget {
  readonly rotation: string;
  readonly file: FileDelivery;
  /** Absolute: the file; for an OCI session, its directory. */
  readonly path: string;
  /** By the field of `file` that names it: `output`, or `token` and `key`, or `bundle`. */
  readonly outputs: ReadonlyMap<string, OutputConfiguration>;
  readonly timing: Timing;
  /** How often to look while a new version is expected, in milliseconds. */
  readonly lookEveryMs: number;
}

export interface PathContext {
  /** What `~` stands for. */
  readonly home: string;
  /** Where relative paths begin. */
  readonly directory: string;
}

export interface Targets {
  readonly targets: readonly PullTarget[];
  /** Rotations whose files cannot be told. */
  readonly blocked: readonly { readonly rotation: string; readonly error: RotatorError }[];
}

/**
 * Every file of the rotations that are named, or of all.
 * @throws RotatorError `RotationUnknown`, `NothingToPull`
 */
export function targetsOf(configuration: Configuration, names: readonly string[], home: string): Targets {
  const paths = { home, directory: configuration.directory };
  const rotations = rotationsNamed(configuration.rotations, names);
  const targets = rotations.flatMap((rotation) =>
    rotation.state === "ready"
      ? rotation.files.map((file, index) => toTarget(configuration, rotation, file, index, paths))
      : [],
  );
  const blocked = rotations
    .filter(({ state }) => state === "blocked")
    .map(({ name }) => ({
      rotation: name,
      error: asRotatorError(
        new RotatorError(targetProblems.RotationBlocked, { facts: { rotation: name } }),
        "configure",
      ),
    }));
  if (targets.length === 0 && blocked.length === 0) {
    const facts = names.length === 0 ? {} : { rotations: names.join(", ") };
    throw asRotatorError(new RotatorError(targetProblems.NothingToPull, { facts }), "configure");
  }
  return { targets, blocked };
}

/** `~/` is the home directory; another relative path begins at the configuration. */
export function absolutePath(path: string, { home, directory }: PathContext): string {
  return path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : resolve(directory, path);
}

function toTarget(
  { tickMs }: Configuration,
  rotation: ReadyRotation,
  file: FileDelivery,
  index: number,
  paths: PathContext,
): PullTarget {
  const { name, marginMs, floorMs, budget, outputs } = rotation;
  const ofFile = outputsOfFile(file).flatMap(([field, secret]) => {
    const output = outputs.find((candidate) => candidate.secret === secret);
    return output === undefined ? [] : [[field, output] as const];
  });
  const way = budget.paths.find(({ reader }) => reader[0] === "files" && reader[1] === index);
  return {
    rotation: name,
    file,
    path:
      file.kind === "oci-session"
        ? join(absolutePath(file.directory, paths), "sessions", file.profile)
        : absolutePath(file.path, paths),
    outputs: new Map(ofFile),
    timing: { floorMs, ...(marginMs === undefined ? {} : { marginMs }) },
    lookEveryMs: lookEvery(tickMs, way?.propagationMs ?? tickMs),
  };
}

/** Twice within what the freshness budget counts for the way to a reader, and neither hectic nor lazy. */
function lookEvery(tickMs: number, propagationMs: number): number {
  return Math.min(Math.max(Math.min(tickMs, propagationMs) / 2, shortestLookMs), longestLookMs);
}

/** Every path that a reader of the target opens. */
export function pathsOf({ file, path }: PullTarget): readonly string[] {
  return file.kind === "oci-session"
    ? [join(path, sessionFiles.token), join(path, sessionFiles.key), join(dirname(dirname(path)), "config")]
    : [path];
}

export const shortestLookMs = 5_000;
const longestLookMs = 60_000;
