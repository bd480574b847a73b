import {
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
} from "node:fs/promises";

/** What writing a file takes of the machine: its file system, and who we are on it. */
export interface FileSystem
  extends Pick<
    typeof import("node:fs/promises"),
    | "lstat"
    | "mkdir"
    | "open"
    | "readdir"
    | "readlink"
    | "rename"
    | "rm"
    | "rmdir"
    | "stat"
    | "symlink"
    | "unlink"
  > {
  /** Effective ids of this process; `undefined` on Windows, where files have access lists and no mode. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  /** Whether directories that others may write to are taken for safe. Default false. */
  readonly sharedDirectories: boolean;
}

export function machineFileSystem(options: { readonly sharedDirectories?: boolean } = {}): FileSystem {
  const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
  return {
    lstat,
    mkdir,
    open,
    readdir,
    readlink,
    rename,
    rm,
    rmdir,
    stat,
    symlink,
    unlink,
    user: uid === undefined || gid === undefined ? undefined : { uid, gid },
    sharedDirectories: options.sharedDirectories ?? false,
  };
}

/** The code of a system call's error: `ENOENT`. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^E[A-Z0-9]{1,31}$/.test(code) ? code : undefined;
}

/** What `work` gives, or `undefined` where the file or directory that it is about does not exist. */
export async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (systemCode(error) === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}
