import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { join } from "node:path";
import { RotatorError } from "../../errors.ts";
import { fileError, fileProblems } from "./fileProblems.ts";
import { type FileSystem, systemCode, unlessMissing } from "./fileSystem.ts";
import { locate } from "./location.ts";
import { syncDirectory, writeNew } from "./replaceFile.ts";

export interface FileOfSet {
  /** One name, without a directory. */
  readonly name: string;
  readonly content: Buffer;
  readonly mode: number;
}

export interface ReplaceTogetherOptions {
  readonly fs: FileSystem;
  /** Mode of the directory that holds the content, within `directory`. */
  readonly directoryMode: number;
}

/**
 * Brings files that belong together to new contents in one step, as the kubelet and the CSI driver do it: the contents are
 * in a directory of their own, each visible file is a symbolic link through the link `..data`, and the step is the renaming
 * of that one link. A reader never sees the new content of one file beside the old content of another.
 *
 * Plain files of the same names that are there from before are first put behind such links with the content that they have.
 *
 * @param directory absolute; made for this user alone where it is missing. Other files in it are left alone.
 * @returns whether anything was changed.
 * @throws RotatorError of `fileProblems`
 */
export async function replaceTogether(
  directory: string,
  files: readonly FileOfSet[],
  { fs, directoryMode }: ReplaceTogetherOptions,
): Promise<boolean> {
  try {
    // Of a name that nothing has: of `..data` itself the link would be followed.
    const { directory: at } = await locate(join(directory, newName()), fs);
    const set = new FileSet(at, files, fs);
    const current = await set.current();
    if (current !== undefined && (await set.isIn(current))) {
      return false;
    }
    const before = current ?? (await set.adopt(directoryMode));
    await set.publish(directoryMode);
    await set.tidy(before);
    return true;
  } catch (error) {
    throw fileError(error, directory);
  }
}

const dataLink = "..data";
const contentName = /^\.\.[0-9a-f]{16}$/;
const newName = () => `..${randomBytes(8).toString("hex")}`;
/** No write takes that long. */
const abandonedMs = 60_000;

class FileSet {
  readonly #at: string;
  readonly #files: readonly FileOfSet[];
  readonly #fs: FileSystem;

  constructor(at: string, files: readonly FileOfSet[], fs: FileSystem) {
    this.#at = at;
    this.#files = files;
    this.#fs = fs;
  }

  /** Name of the directory with the content that is visible. */
  async current(): Promise<string | undefined> {
    const target = await this.#linkTarget(dataLink);
    return target !== undefined && contentName.test(target) ? target : undefined;
  }

  /** Whether that directory holds these files and no others, and all of them are visible. */
  async isIn(content: string): Promise<boolean> {
    const names = await unlessMissing(this.#fs.readdir(join(this.#at, content)));
    if (names?.toSorted().join("/") !== this.#names().join("/")) {
      return false;
    }
    const same = this.#files.map(
      async (file) => (await this.#isLinked(file.name)) && (await this.#holds(content, file)),
    );
    return (await Promise.all(same)).every(Boolean);
  }

  /** Puts the plain files that are there behind links, unchanged. */
  async adopt(directoryMode: number): Promise<string | undefined> {
    const found: FileOfSet[] = [];
    for (const { name } of this.#files) {
      const path = join(this.#at, name);
      const stats = await unlessMissing(this.#fs.lstat(path));
      if (stats !== undefined && !stats.isFile() && !stats.isSymbolicLink()) {
        throw new RotatorError(fileProblems.NotAFile, { facts: { path } });
      }
      if (stats?.isFile()) {
        found.push({ name, content: await this.#read(path), mode: stats.mode & 0o7777 });
      }
    }
    if (found.length === 0) {
      return undefined;
    }
    const content = await this.#write(found, directoryMode);
    await this.#link(content, dataLink);
    await this.#show(found);
    return content;
  }

  async publish(directoryMode: number): Promise<void> {
    const content = await this.#write(this.#files, directoryMode);
    try {
      // A link to what is not there yet is as good as no file.
      await this.#show(this.#files);
      await this.#link(content, dataLink);
    } catch (error) {
      await this.#remove(content).catch(() => {});
      throw error;
    }
    await syncDirectory(this.#at, this.#fs);
  }

  /** Removes the content of before, what killed runs have left, and links to files that are no longer in the set. */
  async tidy(before: string | undefined): Promise<void> {
    try {
      const current = await this.current();
      const { mtimeMs: now } = await this.#fs.lstat(join(this.#at, current ?? "."));
      for (const name of await this.#fs.readdir(this.#at)) {
        if (contentName.test(name) && name !== current) {
          const { mtimeMs } = await this.#fs.lstat(join(this.#at, name));
          // Another run's may be about to become the current one.
          if (name === before || mtimeMs < now - abandonedMs) {
            await this.#remove(name);
          }
        } else if (name.startsWith(linkPrefix) || !this.#names().includes(name)) {
          await this.#removeLinkOfOurs(name);
        }
      }
    } catch (error) {
      // Tidying up is no part of what was asked for.
      if (systemCode(error) === undefined) {
        throw error;
      }
    }
  }

  async #removeLinkOfOurs(name: string): Promise<void> {
    const target = await this.#linkTarget(name);
    if (target?.startsWith(`${dataLink}/`) && name !== dataLink) {
      await this.#fs.unlink(join(this.#at, name));
    }
  }

  #names(): string[] {
    return this.#files.map(({ name }) => name).toSorted();
  }

  async #isLinked(name: string): Promise<boolean> {
    return (await this.#linkTarget(name)) === `${dataLink}/${name}`;
  }

  async #linkTarget(name: string): Promise<string | undefined> {
    try {
      return await unlessMissing(this.#fs.readlink(join(this.#at, name)));
    } catch (error) {
      // Not a link.
      if (systemCode(error) === "EINVAL") {
        return undefined;
      }
      throw error;
    }
  }

  async #holds(content: string, file: FileOfSet): Promise<boolean> {
    const path = join(this.#at, content, file.name);
    const stats = await unlessMissing(this.#fs.lstat(path));
    const hasMode = this.#fs.user === undefined || ((stats?.mode ?? 0) & 0o7777) === file.mode;
    return stats?.isFile() === true && hasMode && (await this.#read(path)).equals(file.content);
  }

  async #read(path: string): Promise<Buffer> {
    await using file = await this.#fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return await file.readFile();
  }

  async #write(files: readonly FileOfSet[], directoryMode: number): Promise<string> {
    const content = newName();
    const directory = join(this.#at, content);
    await this.#fs.mkdir(directory, { mode: 0o700 });
    try {
      for (const { name, content: bytes, mode } of files) {
        await writeNew(join(directory, name), bytes, mode, undefined, this.#fs);
      }
      await this.#fs.chmod(directory, directoryMode);
      await syncDirectory(directory, this.#fs);
      return content;
    } catch (error) {
      await this.#remove(content).catch(() => {});
      throw error;
    }
  }

  async #show(files: readonly FileOfSet[]): Promise<void> {
    for (const { name } of files) {
      if (!(await this.#isLinked(name))) {
        await this.#link(`${dataLink}/${name}`, name);
      }
    }
  }

  /** Makes the link, or points it elsewhere, in one step. */
  async #link(target: string, name: string): Promise<void> {
    const temporary = join(this.#at, `${linkPrefix}${randomBytes(8).toString("hex")}`);
    await this.#fs.symlink(target, temporary);
    try {
      await this.#fs.rename(temporary, join(this.#at, name));
    } catch (error) {
      await this.#fs.unlink(temporary).catch(() => {});
      throw error;
    }
  }

  #remove(content: string): Promise<void> {
    return this.#fs.rm(join(this.#at, content), { recursive: true, force: true });
  }
}

const linkPrefix = "..link-";
