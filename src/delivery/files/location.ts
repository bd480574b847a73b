import type { Stats } from "node:fs";
import { dirname, isAbsolute, join, parse, sep } from "node:path";
import { RotatorError } from "../../errors.ts";
import { fileProblems } from "./fileProblems.ts";
import { type FileSystem, systemCode, unlessMissing } from "./fileSystem.ts";

/** Where a path leads once every symbolic link on the way is followed. */
export interface Location {
  /** Free of symbolic links. */
  readonly directory: string;
  readonly name: string;
  /** Of what is there, never those of a symbolic link; absent where nothing is. */
  readonly stats?: Stats;
}

/**
 * Follows a path to where a file is, or is to be. Everything on the way must be in the hands of this user or of root: each
 * directory belongs to one of them and cannot be written to by others, and each symbolic link was made by one of them.
 * So nobody else can swap a part of the path between this look and the write. That is what makes it safe to follow links
 * without `openat`, which Node.js does not have.
 *
 * Directories that are missing are made, for this user alone.
 *
 * @param path absolute.
 * @throws RotatorError `DirectoryNotSafe`, `DirectoryNotOwned`, `LinkNotOwned`, `LinksEndless`, `NotADirectory`, `NotAFile`
 */
export async function locate(path: string, fs: FileSystem): Promise<Location> {
  let directory = parse(path).root;
  let parts = partsOf(path);
  let links = 0;
  checkDirectory(await fs.lstat(directory), directory, { path, fs });
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    if (part === "..") {
      directory = dirname(directory);
      continue;
    }
    const here = join(directory, part);
    const isLast = parts.length === 0;
    const stats = (await unlessMissing(fs.lstat(here))) ?? (isLast ? undefined : await make(here, fs));
    if (stats?.isSymbolicLink()) {
      links += 1;
      const target = await followed(here, stats, links, { path, fs });
      directory = isAbsolute(target) ? parse(target).root : directory;
      parts = [...partsOf(target), ...parts];
      continue;
    }
    if (isLast) {
      checkDirectory(await fs.lstat(directory), directory, { path, fs, holdsFile: true });
      return { directory, name: part, ...(stats === undefined ? {} : { stats }) };
    }
    // `make` has given the stats of what it has made.
    checkDirectory(stats as Stats, here, { path, fs });
    directory = here;
  }
  throw new RotatorError(fileProblems.NotAFile, { facts: { path } });
}

function partsOf(path: string): string[] {
  return path
    .slice(parse(path).root.length)
    .split(sep)
    .filter((part) => part !== "" && part !== ".");
}

async function make(directory: string, fs: FileSystem): Promise<Stats> {
  try {
    await fs.mkdir(directory, { mode: 0o700 });
  } catch (error) {
    // Another run of ours may have been quicker; what is there now is checked all the same.
    if (systemCode(error) !== "EEXIST") {
      throw error;
    }
  }
  return await fs.lstat(directory);
}

/** As the kernel has it. */
const mostLinks = 40;

async function followed(
  link: string,
  stats: Stats,
  links: number,
  { path, fs }: { path: string; fs: FileSystem },
): Promise<string> {
  if (!isTrusted(stats.uid, fs)) {
    throw new RotatorError(fileProblems.LinkNotOwned, { facts: { path, link } });
  }
  if (links > mostLinks) {
    throw new RotatorError(fileProblems.LinksEndless, { facts: { path } });
  }
  return await fs.readlink(link);
}

interface DirectoryCheck {
  readonly path: string;
  readonly fs: FileSystem;
  readonly holdsFile?: boolean;
}

function checkDirectory(
  stats: Stats,
  directory: string,
  { path, fs, holdsFile = false }: DirectoryCheck,
): void {
  const facts = { path, directory };
  if (!stats.isDirectory()) {
    throw new RotatorError(fileProblems.NotADirectory, { facts });
  }
  if (fs.user === undefined || fs.sharedDirectories) {
    return;
  }
  if (!isTrusted(stats.uid, fs)) {
    throw new RotatorError(fileProblems.DirectoryNotOwned, { facts });
  }
  const byGroup = (stats.mode & 0o020) !== 0 && !isOwnGroup(stats.gid, fs);
  const byOthers = (stats.mode & 0o002) !== 0;
  // With a sticky bit, as on /tmp, nobody can remove or rename what is not theirs. Where the file itself is to be, somebody
  // could still put one there before us.
  const isSticky = (stats.mode & 0o1000) !== 0 && !holdsFile;
  if ((byGroup || byOthers) && !isSticky) {
    throw new RotatorError(fileProblems.DirectoryNotSafe, { facts });
  }
}

function isTrusted(uid: number, { user }: FileSystem): boolean {
  return user === undefined || uid === 0 || uid === user.uid;
}

/** Where every user has a group of their own, directories are made writable for it. */
function isOwnGroup(gid: number, { user }: FileSystem): boolean {
  return gid === 0 || gid === user?.gid;
}
