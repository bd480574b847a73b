import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { renewalTime } from "../../core/schedule.ts";
import { issuedOn, tagNames } from "../../core/tags.ts";
import { asRotatorError, problems, RotatorError } from "../../errors.ts";
import type { CallContext, Clock, SecretStore, StoredSecret } from "../../ports.ts";
import { contentProblems } from "./contentProblems.ts";
import { mergeDotenv } from "./dotenvFile.ts";
import type { FileSystem } from "./fileSystem.ts";
import { mergeProfile } from "./ociConfigFile.ts";
import { sessionFiles, sessionOf, unbundled } from "./ociSession.ts";
import { mergePgpass } from "./pgpassFile.ts";
import { replaceFile } from "./replaceFile.ts";
import { replaceTogether } from "./replaceTogether.ts";
import type { PullTarget } from "./targets.ts";

const pullProblems = problems({
  OutputMissing: {
    message: "The vault has no such secret yet.",
    remedy: "Wait for the rotator's next tick, or run `token-rotator rotate` with the name of the rotation.",
    retryable: true,
  },
  OutputExpired: {
    message: "What the vault holds has expired, so nothing was written.",
    remedy: "See with `token-rotator status` why the rotator does not renew it.",
    retryable: true,
  },
  OutputsDiverged: {
    message: "The token and the key in the vault do not belong together; nothing was written.",
    remedy: "Nothing to do if a rotation is under way; else see `token-rotator status`.",
    retryable: true,
  },
});

export interface PullEnvironment {
  readonly storeOf: (vault: string) => SecretStore;
  readonly fs: FileSystem;
  readonly clock: Clock;
}

/** What became of one target. */
export interface PulledFile {
  readonly target: PullTarget;
  readonly changed: boolean;
  /** When the version in the vault expires. */
  readonly expiresOn?: Date;
  /** When a newer version is expected, in milliseconds since the epoch. */
  readonly renewAt?: number;
  /** Identifies what was written. */
  readonly fingerprint?: string;
  readonly error?: RotatorError;
}

/**
 * Reads the outputs of all targets at once and writes their files one after the other, since several may go into the same
 * file. What fails is in the result of its target and stops no other; only an aborted signal is thrown.
 */
export async function pullFiles(
  targets: readonly PullTarget[],
  environment: PullEnvironment,
  context: CallContext,
): Promise<PulledFile[]> {
  const readings = targets.map((target) => settled(readTogether(target, environment, context)));
  const pulled: PulledFile[] = [];
  for (const [index, target] of targets.entries()) {
    const reading = await readings[index];
    context.signal.throwIfAborted();
    pulled.push(
      reading instanceof RotatorError
        ? { target, changed: false, error: reading }
        : await writeRead(target, reading as Secrets, environment),
    );
  }
  return pulled;
}

async function settled(reading: Promise<Secrets>): Promise<Secrets | RotatorError> {
  try {
    return await reading;
  } catch (error) {
    return asRotatorError(error, "deliver");
  }
}

async function writeRead(
  target: PullTarget,
  secrets: Secrets,
  { fs, clock }: PullEnvironment,
): Promise<PulledFile> {
  const times = timesOf(target, secrets);
  try {
    if (times.expiresOn !== undefined && times.expiresOn.getTime() <= clock.now()) {
      throw new RotatorError(pullProblems.OutputExpired, {
        facts: { expiresOn: times.expiresOn.toISOString() },
      });
    }
    const changed = await write(target, secrets, fs);
    return { target, changed, ...times, fingerprint: fingerprintOf(secrets) };
  } catch (error) {
    return { target, changed: false, ...times, error: asRotatorError(error, "deliver") };
  }
}

type Secrets = ReadonlyMap<string, StoredSecret>;

/** The rotator writes the outputs of one token right after each other. */
const mostReads = 3;
const readAgainMs = 2_000;

async function readTogether(
  target: PullTarget,
  { storeOf, clock }: PullEnvironment,
  context: CallContext,
): Promise<Secrets> {
  for (let attempt = 1; ; attempt += 1) {
    const secrets = new Map(
      await Promise.all(
        [...target.outputs].map(async ([field, { vault, secret }]) => {
          const stored = await storeOf(vault).read(secret, context);
          if (stored === undefined) {
            throw new RotatorError(pullProblems.OutputMissing, { facts: { vault, secret } });
          }
          return [field, stored] as const;
        }),
      ),
    );
    const tokens = new Set([...secrets.values()].map(({ properties }) => properties.tags[tagNames.token]));
    if (tokens.size <= 1) {
      return secrets;
    }
    if (attempt === mostReads) {
      throw new RotatorError(pullProblems.OutputsDiverged, { facts: { rotation: target.rotation } });
    }
    await clock.sleep(readAgainMs, context.signal);
  }
}

function timesOf(target: PullTarget, secrets: Secrets): Pick<PulledFile, "expiresOn" | "renewAt"> {
  const times = [...secrets.values()].flatMap(({ properties }) => {
    const expiresOn = properties.expiresOn?.getTime();
    if (expiresOn === undefined) {
      return [];
    }
    const begun = issuedOn(properties) ?? properties.createdOn?.getTime() ?? expiresOn;
    return [
      { expiresOn, renewAt: renewalTime(target.rotation, { issuedOn: begun, expiresOn }, target.timing) },
    ];
  });
  return times.length === 0
    ? {}
    : {
        expiresOn: new Date(Math.min(...times.map(({ expiresOn }) => expiresOn))),
        renewAt: Math.min(...times.map(({ renewAt }) => renewAt)),
      };
}

function fingerprintOf(secrets: Secrets): string {
  const each = [...secrets.values()].map(({ value }) => value.fingerprint());
  return createHash("sha256").update(each.join()).digest("hex").slice(0, 32);
}

async function write({ file, path }: PullTarget, secrets: Secrets, fs: FileSystem): Promise<boolean> {
  switch (file.kind) {
    case "file": {
      const content = contentOf(secrets, "output");
      return await replaceFile(path, () => content, { fs, mode: Number.parseInt(file.mode, 8) });
    }
    case "pgpass": {
      const content = contentOf(secrets, "output");
      return await replaceFile(path, (existing) => mergePgpass(existing, content), { fs, mode: privateMode });
    }
    case "dotenv": {
      const content = contentOf(secrets, "output");
      return await replaceFile(path, (existing) => mergeDotenv(existing, content), { fs, mode: privateMode });
    }
    case "oci-session":
      return await writeSession(file, path, secrets, fs);
  }
}

/** libpq ignores a password file that others may read; the OCI CLI warns of a configuration that they may. */
const privateMode = 0o600;

async function writeSession(
  { profile, region, tenancy, bundle }: Extract<PullTarget["file"], { kind: "oci-session" }>,
  path: string,
  secrets: Secrets,
  fs: FileSystem,
): Promise<boolean> {
  if (/\p{Cc}/u.test(path)) {
    throw new RotatorError(contentProblems.PathUnfit);
  }
  const value = (field: string) => secretOf(secrets, field).value;
  const session = sessionOf(
    bundle === undefined ? { token: value("token"), key: value("key") } : unbundled(value("bundle")),
  );
  const settings = {
    fingerprint: session.fingerprint,
    key_file: join(path, sessionFiles.key),
    ...(tenancy === undefined ? {} : { tenancy }),
    ...(region === undefined ? {} : { region }),
    security_token_file: join(path, sessionFiles.token),
  };
  // First what the profile refers to, then the profile.
  const files = await replaceTogether(path, session.files, fs);
  const configuration = join(dirname(dirname(path)), "config");
  const merged = await replaceFile(configuration, (existing) => mergeProfile(existing, profile, settings), {
    fs,
    mode: privateMode,
  });
  return files || merged;
}

function contentOf(secrets: Secrets, field: string): Buffer {
  return Buffer.from(secretOf(secrets, field).value.reveal(), "utf8");
}

function secretOf(secrets: Secrets, field: string): StoredSecret {
  const secret = secrets.get(field);
  if (secret === undefined) {
    throw new TypeError(`The target has no output in its field ${field}.`);
  }
  return secret;
}
