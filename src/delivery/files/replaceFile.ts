import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { RotatorError } from "../../errors.ts";
import { fileError, fileProblems } from "./fileProblems.ts";
import { type FileSystem, systemCode, unlessMissing } from "./fileSystem.ts";
import { type Location, locate } from "./location.ts";

export interface ReplaceOptions {
  readonly fs: FileSystem;
  /** Mode of the file, whatever it was before. */
  readonly mode: number;
}

/**
 * Brings a file to what `change` makes of it, in one step: a reader sees the old file or the new one, and whatever fails
 * or whenever this process is killed, the old file is intact. Symbolic links stay and what they lead to is replaced; the
 * file's owner stays. Nothing is written when nothing would change.
 *
 * @param path absolute.
 * @param change gets the bytes of the file, or `undefined` where there is none. It is called again when another program
 *   changes the file in the meantime.
 * @returns whether anything was changed.
 * @throws RotatorError of `fileProblems`, and what `change` throws.
 */
export async function replaceFile(
  path: string,
  change: (existing: Buffer | undefined) => Buffer,
  { fs, mode }: ReplaceOptions,
): Promise<boolean> {
  try {
    for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
      const location = await locate(path, fs);
      const existing = await read(location, fs);
      const wanted = change(existing);
      if (existing?.equals(wanted)) {
        return await correctMode(location, mode, fs);
      }
      if (await write(location, wanted, mode, fs)) {
        return true;
      }
    }
  } catch (error) {
    throw fileError(error, path);
  }
  throw fileError(new RotatorError(fileProblems.FileBusy, { facts: { path } }), path);
}

const mostAttempts = 5;
/** Far above any file that people keep passwords or profiles in. */
const mostBytes = 64 * 1024 * 1024;

async function read({ directory, name, stats }: Location, fs: FileSystem): Promise<Buffer | undefined> {
  if (stats === undefined) {
    return undefined;
  }
  const path = join(directory, name);
  if (!stats.isFile()) {
    throw new RotatorError(fileProblems.NotAFile, { facts: { path } });
  }
  if (stats.size > mostBytes) {
    throw new RotatorError(fileProblems.FileTooLarge, { facts: { path, bytes: stats.size } });
  }
  await using file = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  return await file.readFile();
}

async function correctMode(
  { directory, name, stats }: Location,
  mode: number,
  fs: FileSystem,
): Promise<boolean> {
  if (fs.user === undefined || stats === undefined || (stats.mode & 0o7777) === mode) {
    return false;
  }
  await using file = await fs.open(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW);
  await file.chmod(mode);
  return true;
}

/** Gives false, with nothing changed, where another program was there in the meantime. */
async function write(location: Location, content: Buffer, mode: number, fs: FileSystem): Promise<boolean> {
  const { directory, name, stats } = location;
  const path = join(directory, name);
  const temporary = join(directory, `${temporaryPrefix}${randomBytes(8).toString("hex")}.tmp`);
  try {
    const made = await writeNew(temporary, content, mode, stats, fs);
    if (!isSame(stats, await unlessMissing(fs.lstat(path)))) {
      await fs.unlink(temporary);
      return false;
    }
    await fs.rename(temporary, path);
    await syncDirectory(directory, fs);
    await removeRemains(directory, made, fs);
    return true;
  } catch (error) {
    await fs.unlink(temporary).catch(() => {});
    throw error;
  }
}

/**
 * Writes a file that does not exist yet, down to the disk.
 * @param like whose owner it gets.
 */
export async function writeNew(
  path: string,
  content: Buffer,
  mode: number,
  like: Stats | undefined,
  fs: FileSystem,
): Promise<Stats> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  await using file = await fs.open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
  await keepOwner(file, like, path, fs);
  // Only now: the mode may let the owner's group read.
  await file.chmod(mode);
  await file.writeFile(content);
  await file.sync();
  return await file.stat();
}

async function keepOwner(
  file: FileHandle,
  like: Stats | undefined,
  path: string,
  fs: FileSystem,
): Promise<void> {
  if (fs.user === undefined || like === undefined) {
    return;
  }
  const own = await file.stat();
  if (own.uid === like.uid && own.gid === like.gid) {
    return;
  }
  try {
    await file.chown(like.uid, like.gid);
  } catch (cause) {
    throw new RotatorError(fileProblems.OwnerNotKept, {
      cause,
      facts: { path, uid: like.uid, gid: like.gid },
    });
  }
}

/** Whether a file is the one that was seen before, with the content that it had. */
function isSame(before: Stats | undefined, now: Stats | undefined): boolean {
  return (
    before?.ino === now?.ino &&
    before?.dev === now?.dev &&
    before?.size === now?.size &&
    before?.mtimeMs === now?.mtimeMs
  );
}

/** So that the new name outlives a loss of power. The file is in place already, so a file system that cannot is no error. */
export async function syncDirectory(directory: string, fs: FileSystem): Promise<void> {
  try {
    await using handle = await fs.open(directory, constants.O_RDONLY);
    await handle.sync();
  } catch {}
}

const temporaryPrefix = ".token-rotator-";
/** No write takes that long. */
const abandonedMs = 60_000;

/** Removes what a run that was killed has left: it holds a token. Another run's file of this moment is left alone. */
async function removeRemains(directory: string, { mtimeMs }: Stats, fs: FileSystem): Promise<void> {
  try {
    const names = await fs.readdir(directory);
    for (const name of names.filter((each) => each.startsWith(temporaryPrefix) && each.endsWith(".tmp"))) {
      const path = join(directory, name);
      const stats = await fs.lstat(path);
      if (stats.isFile() && stats.mtimeMs < mtimeMs - abandonedMs) {
        await fs.unlink(path);
      }
    }
  } catch (error) {
    // Tidying up is no part of what was asked for.
    if (systemCode(error) === undefined) {
      throw error;
    }
  }
}
