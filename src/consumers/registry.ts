import { containerApp } from "./containerApp.ts";
import { containerAppJob } from "./containerAppJob.ts";

/** Every kind of consumer, by the `kind` that names it in the configuration. */
export const consumers = {
  "container-app": containerApp,
  "container-app-job": containerAppJob,
};
