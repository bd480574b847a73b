/*
 * Loads the function app given as argument as the worker does, and fires its timer once: the cold start of a function
 * instance, without the host around it.
 */
import { pathToFileURL } from "node:url";
import { provideCoreModule } from "../src/local/functionsHost/coreModule.ts";

const [app = ""] = process.argv.slice(2);
const { functions } = provideCoreModule(() => {});
await import(pathToFileURL(app).href);
const log = () => {};
const context = { info: log, warn: log, error: log, debug: log, invocationId: "bench" };
for (const { metadata, callback } of functions.values()) {
  if (metadata.name === "tick") {
    await callback({ isPastDue: false }, context);
  }
}
