import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { join } from "node:path";
import { RotatorError } from "../../errors.ts";
import { fileError, fileProblems } from "./fileProblems.ts";
import { type FileSystem, systemCode, unlessMissing } from "./fileSystem.ts";
import { locate } from "./location.ts";
import { replaceFile, syncDirectory, writeNew } from "./replaceFile.ts";

export interface FileOfSet {
  /** One name, without a directory. */
  readonly name: string;
  readonly content: Buffer;
  readonly mode: number;
}

/**
 * Brings files that belong together to new contents in one step: a reader never sees the new content of one beside the old
 * content of another. Where only one of them changes, that one is replaced. Where several do, a new directory takes the
 * place of the old one, by the switch of a symbolic link: the files themselves are never links, which the OCI CLI takes for
 * files that everybody may read.
 *
 * The one case that is two steps is a plain directory several of whose files change for the first time: it is moved away
 * before the link takes its name, and a process that is killed between the two leaves neither. The next run mends that.
 *
 * @param directory absolute; made for this user alone where it is missing. Other files in it stay.
 * @returns whether anything was changed.
 * @throws RotatorError of `fileProblems`
 */
export async function replaceTogether(
  directory: string,
  files: readonly FileOfSet[],
  fs: FileSystem,
): Promise<boolean> {
  try {
    const place = await find(directory, fs);
    const changed = await differing(place, files, fs);
    const [first] = changed;
    if (first === undefined) {
      return false;
    }
    if (place.content !== undefined && changed.length === 1) {
      const path = join(place.at, place.content, first.name);
      return await replaceFile(path, () => first.content, { fs, mode: first.mode });
    }
    const unused = await replaceAll(place, files, fs);
    await tidy(place, unused, files, fs);
    return true;
  } catch (error) {
    throw fileError(error, directory);
  }
}

/** Where a set of files is. */
interface Place {
  /** The directory that all of this happens in; free of symbolic links. */
  readonly at: string;
  /** What readers go through: a directory, or a link of ours to one. */
  readonly name: string;
  /** Name of the directory that holds the files: `name` itself, or what the link leads to. Absent where there is none. */
  readonly content?: string;
}

const contentName = /^\.(.+)-[0-9a-f]{16}$/;

async function find(directory: string, fs: FileSystem): Promise<Place> {
  const { directory: at, name: last, stats } = await locate(directory, fs);
  if (stats === undefined) {
    return { at, name: last };
  }
  if (!stats.isDirectory()) {
    throw new RotatorError(fileProblems.NotADirectory, { facts: { path: directory } });
  }
  // Also checks the directory itself, in which the files are.
  await locate(join(at, last, newContentName("x")), fs);
  const name = contentName.exec(last)?.[1];
  const isOurs = name !== undefined && (await linkTarget(join(at, name), fs)) === last;
  return { at, name: isOurs ? name : last, content: last };
}

async function differing(
  { at, content }: Place,
  files: readonly FileOfSet[],
  fs: FileSystem,
): Promise<FileOfSet[]> {
  const found: FileOfSet[] = [];
  for (const file of files) {
    if (content === undefined || !(await holds(join(at, content, file.name), file, fs))) {
      found.push(file);
    }
  }
  return found;
}

async function holds(path: string, { content, mode }: FileOfSet, fs: FileSystem): Promise<boolean> {
  const stats = await unlessMissing(fs.lstat(path));
  if (stats?.isDirectory()) {
    throw new RotatorError(fileProblems.NotAFile, { facts: { path } });
  }
  if (!stats?.isFile() || (fs.user !== undefined && (stats.mode & 0o7777) !== mode)) {
    return false;
  }
  await using file = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  return (await file.readFile()).equals(content);
}

/** @returns the name that the directory of before has now, where there was one. */
async function replaceAll(
  place: Place,
  files: readonly FileOfSet[],
  fs: FileSystem,
): Promise<string | undefined> {
  const { at, name, content: before } = place;
  const made = newContentName(name);
  const link = join(at, newContentName(name));
  let unused: string | undefined;
  try {
    await fs.mkdir(join(at, made), { mode: 0o700 });
    for (const { name: file, content, mode } of files) {
      await writeNew(join(at, made, file), content, mode, undefined, fs);
    }
    await syncDirectory(join(at, made), fs);
    if (before === undefined) {
      await fs.rename(join(at, made), join(at, name));
    } else {
      await fs.symlink(made, link);
      unused = await switchTo(link, before, place, fs);
    }
  } catch (error) {
    await fs.unlink(link).catch(() => {});
    await fs.rm(join(at, made), { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  await syncDirectory(at, fs);
  return unused;
}

async function switchTo(link: string, before: string, { at, name }: Place, fs: FileSystem): Promise<string> {
  if (before !== name) {
    await fs.rename(link, join(at, name));
    return before;
  }
  const away = newContentName(name);
  await fs.rename(join(at, name), join(at, away));
  try {
    await fs.rename(link, join(at, name));
  } catch (error) {
    await fs.rename(join(at, away), join(at, name));
    throw error;
  }
  return away;
}

/** No write takes that long. */
const abandonedMs = 60_000;

/**
 * Removes our files from directories that are no longer in use: what was there before, and what killed runs have left. What
 * else was in the directory of before is moved along.
 */
async function tidy(
  { at, name }: Place,
  unused: string | undefined,
  files: readonly FileOfSet[],
  fs: FileSystem,
): Promise<void> {
  try {
    const current = (await linkTarget(join(at, name), fs)) ?? name;
    const { mtimeMs: now } = await fs.lstat(join(at, current));
    for (const other of await fs.readdir(at)) {
      if (contentName.exec(other)?.[1] === name && other !== current) {
        const path = join(at, other);
        const stats = await fs.lstat(path);
        // Another run may be about to put its own into use.
        if (other !== unused && stats.mtimeMs >= now - abandonedMs) {
          continue;
        }
        // A link that was not put into place; what it leads to may be in use.
        await (stats.isSymbolicLink() ? fs.unlink(path) : retire(path, join(at, current), files, fs));
      }
    }
  } catch (error) {
    // Tidying up is no part of what was asked for.
    if (systemCode(error) === undefined) {
      throw error;
    }
  }
}

async function retire(
  directory: string,
  current: string,
  files: readonly FileOfSet[],
  fs: FileSystem,
): Promise<void> {
  const ours = new Set(files.map(({ name }) => name));
  for (const name of await fs.readdir(directory)) {
    const path = join(directory, name);
    if (ours.has(name)) {
      await fs.unlink(path);
    } else if ((await unlessMissing(fs.lstat(join(current, name)))) === undefined) {
      await fs.rename(path, join(current, name));
    }
  }
  // Empty by now, or else something in it is somebody's.
  await fs.rmdir(directory);
}

function newContentName(name: string): string {
  return `.${name}-${randomBytes(8).toString("hex")}`;
}

async function linkTarget(path: string, fs: FileSystem): Promise<string | undefined> {
  try {
    return await unlessMissing(fs.readlink(path));
  } catch (error) {
    // Not a link.
    if (systemCode(error) === "EINVAL") {
      return undefined;
    }
    throw error;
  }
}
