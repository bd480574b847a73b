import { once } from "node:events";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { type CommandResult, command } from "./testIo.ts";

/**
 * Runs command lines, one after another, in a thread of its own. In a test's own thread the runner follows every promise to
 * know which test it belongs to, and a simulation, which makes millions of them, takes more than twice as long.
 */
export class CommandThread implements AsyncDisposable {
  readonly #worker = new Worker(new URL(import.meta.url), { workerData: CommandThread.name });

  async run(argv: readonly string[], directory: string): Promise<CommandResult> {
    this.#worker.postMessage({ argv, directory });
    const [result] = await once(this.#worker, "message");
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

// Also this thread may be a worker's, where the tests run.
if (workerData === CommandThread.name) {
  parentPort?.on("message", async ({ argv, directory }) => {
    parentPort?.postMessage(await command(argv, { directory }));
  });
}
