import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileSystem, machineFileSystem } from "../../../src/delivery/files/fileSystem.ts";

/** A directory of its own for one test. */
export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "files-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The machine's file system, which does not wait for the disk. */
export function quickFileSystem(): FileSystem {
  return fatedFileSystem(() => "passes");
}

export function randomText(): string {
  return randomBytes(8).toString("hex");
}

const calls = [
  "lstat",
  "mkdir",
  "open",
  "readdir",
  "readlink",
  "rename",
  "rm",
  "rmdir",
  "stat",
  "symlink",
  "unlink",
] as const;

/** What happens to a call: it passes, fails with this code, or the process is killed: nothing is carried out any more. */
export type Fate = "passes" | "killed" | { readonly code: string };

/**
 * Also such a file system, each of whose calls `fateOf` decides on before it takes effect. `call` is `rename`, or
 * `file.sync` for a call on an open file.
 */
export function fatedFileSystem(
  fateOf: (call: string, number: number) => Fate,
): FileSystem & { readonly made: string[] } {
  const machine = machineFileSystem();
  const made: string[] = [];
  let killed = false;
  const enter = (call: string) => {
    made.push(call);
    const fate = killed ? "killed" : fateOf(call, made.length);
    if (fate === "killed") {
      killed = true;
      throw new Error("killed");
    }
    if (fate !== "passes") {
      throw Object.assign(new Error(`${fate.code}: the test says so`), { code: fate.code });
    }
  };
  const wrapped = Object.fromEntries(
    calls.map((call) => [
      call,
      async (...parameters: unknown[]) => {
        enter(call);
        const result = await (machine[call] as (...given: unknown[]) => Promise<unknown>)(...parameters);
        return call === "open" ? fatedHandle(result as object, enter) : result;
      },
    ]),
  );
  return { ...machine, ...wrapped, made };
}

function fatedHandle(handle: object, enter: (call: string) => void): object {
  return new Proxy(handle, {
    get: (target, property) => {
      const value = Reflect.get(target, property, target);
      if (typeof value !== "function") {
        return value;
      }
      return (...parameters: unknown[]) => {
        // A killed process closes its files too.
        if (typeof property === "string" && property !== "close") {
          enter(`file.${property}`);
        }
        if (property === "sync") {
          return Promise.resolve();
        }
        return value.apply(target, parameters);
      };
    },
  });
}
