import { createHash } from "node:crypto";
import { join } from "node:path";
import { outputKey } from "../../core/rotation.ts";
import { type FileSystem, unlessMissing } from "./fileSystem.ts";
import type { PulledFile } from "./pull.ts";
import { replaceFile } from "./replaceFile.ts";
import { type PullTarget, pathsOf } from "./targets.ts";

/**
 * What is remembered of a target on this host: until when its files are good, and who was told of them. Nothing in it is
 * secret, and nothing is lost with it: without a receipt the vault is asked, and a command is run once more.
 */
export interface Receipt {
  /** Milliseconds since the epoch. */
  readonly expiresOn?: number;
  /** Milliseconds since the epoch. */
  readonly renewAt?: number;
  /** Identifies what was written. */
  readonly fingerprint: string;
  /** The files as they were right after writing. */
  readonly files: readonly FileMark[];
  /** By command: the fingerprint that it was last run for. */
  readonly told: Readonly<Record<string, string>>;
}

interface FileMark {
  readonly path: string;
  readonly inode: number;
  readonly bytes: number;
  readonly mtimeMs: number;
}

export interface ReceiptsOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly fs: FileSystem;
}

export class Receipts {
  readonly #directory: string;
  readonly #fs: FileSystem;

  constructor({ environment, home, fs }: ReceiptsOptions) {
    const state = environment.XDG_STATE_HOME || join(home, ".local", "state");
    this.#directory = join(state, "token-rotator");
    this.#fs = fs;
  }

  async find(target: PullTarget): Promise<Receipt | undefined> {
    try {
      await using file = await this.#fs.open(this.#path(target), "r");
      const receipt = JSON.parse(await file.readFile("utf8")) as Receipt;
      return typeof receipt.fingerprint === "string" && Array.isArray(receipt.files) ? receipt : undefined;
    } catch {
      return undefined;
    }
  }

  /** Notes what was written, and that `command`, where there was one, has been run for it. */
  async keep({ target, fingerprint, expiresOn, renewAt }: PulledFile, command?: string): Promise<void> {
    if (fingerprint === undefined) {
      return;
    }
    try {
      const told = Object.entries((await this.find(target))?.told ?? {}).filter(
        ([, known]) => known === fingerprint,
      );
      const receipt: Receipt = {
        ...(expiresOn === undefined ? {} : { expiresOn: expiresOn.getTime() }),
        ...(renewAt === undefined ? {} : { renewAt }),
        fingerprint,
        files: await this.#marks(target),
        told: Object.fromEntries(command === undefined ? told : [...told, [keyOf(command), fingerprint]]),
      };
      const content = Buffer.from(`${JSON.stringify(receipt)}\n`);
      await replaceFile(this.#path(target), () => content, { fs: this.#fs, mode: 0o600 });
    } catch {
      // A home that cannot be written to costs a look into the vault, not the delivery.
    }
  }

  /** Whether what is there now is known, and the command has not been run for it. */
  async isUntold(target: PullTarget, command: string): Promise<boolean> {
    const receipt = await this.find(target);
    return receipt !== undefined && receipt.told?.[keyOf(command)] !== receipt.fingerprint;
  }

  /** Whether the files are as we left them. */
  async isUntouched(target: PullTarget, { files }: Receipt): Promise<boolean> {
    try {
      return JSON.stringify(await this.#marks(target)) === JSON.stringify(files);
    } catch {
      return false;
    }
  }

  async #marks(target: PullTarget): Promise<FileMark[]> {
    const marks = pathsOf(target).map(async (path): Promise<FileMark[]> => {
      const stats = await unlessMissing(this.#fs.stat(path));
      return stats === undefined
        ? []
        : [{ path, inode: stats.ino, bytes: stats.size, mtimeMs: stats.mtimeMs }];
    });
    return (await Promise.all(marks)).flat();
  }

  /** Another path, secret or layout is another receipt. */
  #path({ file, path, outputs }: PullTarget): string {
    const each = [...outputs].map(([field, output]) => [field, outputKey(output), output.spec]);
    return join(this.#directory, `${keyOf(JSON.stringify([file, path, each]))}.json`);
  }
}

function keyOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
