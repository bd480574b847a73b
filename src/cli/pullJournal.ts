import type { PulledFile } from "../delivery/files/pull.ts";
import type { Receipts } from "../delivery/files/receipts.ts";
import type { PullTarget } from "../delivery/files/targets.ts";
import type { RotatorError } from "../errors.ts";
import { printError } from "./errors.ts";
import type { Io } from "./io.ts";

/** Says what a watch did, and each trouble once: when it begins and when it is over. */
export class Journal {
  readonly #io: Io;
  readonly #receipts: Receipts;
  readonly #troubles = new Map<PullTarget, string>();

  constructor(io: Io, receipts: Receipts) {
    this.#io = io;
    this.#receipts = receipts;
  }

  async note(pulled: readonly PulledFile[]): Promise<void> {
    for (const each of pulled) {
      await (each.error === undefined ? this.#noteSuccess(each) : this.#noteTrouble(each, each.error));
    }
  }

  #noteSuccess({ target, changed, expiresOn }: PulledFile): void {
    const isOver = this.#troubles.delete(target);
    if (changed || isOver) {
      const until = expiresOn === undefined ? "" : `, good until ${expiresOn.toISOString()}`;
      const what = changed ? "written" : "unchanged; the trouble is over";
      this.#io.stdout.write(`${this.#now()} ${target.rotation}: ${target.path} ${what}${until}\n`);
    }
  }

  async #noteTrouble({ target }: PulledFile, error: RotatorError): Promise<void> {
    if (this.#troubles.get(target) === error.code) {
      return;
    }
    this.#troubles.set(target, error.code);
    const expiresOn = (await this.#receipts.find(target))?.expiresOn;
    const until = expiresOn === undefined ? "" : `, with a token until ${new Date(expiresOn).toISOString()}`;
    this.#io.stderr.write(`${this.#now()} ${target.rotation}: ${target.path} stays as it is${until}\n`);
    printError(this.#io, error);
  }

  #now(): string {
    return new Date(this.#io.clock.now()).toISOString();
  }
}
