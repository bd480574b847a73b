import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface VolumeFile {
  /** One name, without a directory. */
  readonly name: string;
  readonly content: string;
  readonly mode: number;
}

const dataLink = "..data";

/**
 * Writes the files of a volume as the kubelet and the CSI driver do (pkg/util/fileutil/atomic_writer.go of the driver): the
 * contents are in a directory of their own, each visible file is a symbolic link through the link `..data`, and the renaming
 * of that one link switches all of them at once.
 *
 * @returns whether anything was changed.
 */
export async function writeVolume(directory: string, files: readonly VolumeFile[]): Promise<boolean> {
  await mkdir(directory, { recursive: true });
  const before = await readlink(join(directory, dataLink)).catch(() => undefined);
  if (before !== undefined && (await isSame(join(directory, before), files))) {
    return false;
  }
  const made = `..${randomBytes(8).toString("hex")}`;
  await mkdir(join(directory, made));
  for (const { name, content, mode } of files) {
    await writeFile(join(directory, made, name), content);
    await chmod(join(directory, made, name), mode);
  }
  for (const { name } of files) {
    await link(`${dataLink}/${name}`, join(directory, name));
  }
  await link(made, join(directory, dataLink));
  await removeOthers(directory, new Set([dataLink, made, ...files.map(({ name }) => name)]));
  return true;
}

async function isSame(directory: string, files: readonly VolumeFile[]): Promise<boolean> {
  const names = await readdir(directory).catch(() => []);
  const contents = files.map(async ({ name, content }) => {
    const found = await readFile(join(directory, name), "utf8").catch(() => undefined);
    return found === content;
  });
  return names.length === files.length && (await Promise.all(contents)).every(Boolean);
}

/** Makes the link, or points it elsewhere, in one step. */
async function link(target: string, path: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, path);
}

async function removeOthers(directory: string, kept: ReadonlySet<string>): Promise<void> {
  for (const name of (await readdir(directory)).filter((each) => !kept.has(each))) {
    await rm(join(directory, name), { recursive: true });
  }
}
