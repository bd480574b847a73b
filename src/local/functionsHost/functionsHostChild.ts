import { systemClock } from "../../clock.ts";
import { asRotatorError } from "../../errors.ts";
import { type HostedApp, hostApp, stackOf } from "./hostedApp.ts";
import {
  type FromFunctions,
  type FunctionsHostLog,
  type HostProblemCode,
  hostProblems,
  type StartMessage,
  type ToFunctions,
} from "./protocol.ts";

/*
 * The process that runs the functions. It has the environment that Azure would give them, and ends when it is told to,
 * when it is signalled, and when the process that started it is gone.
 */

let app: HostedApp | undefined;
let graceMs = 0;
let stopping = false;

process.on("message", (message: ToFunctions) => {
  switch (message.type) {
    case "start":
      void start(message);
      break;
    case "invoke":
      void invoke(message.request, message.functionName);
      break;
    case "stop":
      void stop();
      break;
  }
});
process.on("disconnect", () => void stop());
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => void stop());
// Whoever reads the log may be gone first; that must not cut the end short.
process.stdout.on("error", () => {});
process.on("uncaughtException", (error) => {
  hostLog("critical", `The code of the app failed outside of a function.\n${stackOf(error)}`);
  process.exit(1);
});

async function start({
  packageDirectory,
  stateDirectory,
  port,
  functionKey,
  masterKey,
  ...rest
}: StartMessage) {
  graceMs = rest.graceMs;
  try {
    app = await hostApp({
      packageDirectory,
      stateDirectory,
      port,
      keys: { functionKey, masterKey },
      environment: process.env,
      clock: systemClock,
      writeLog,
      onScheduled: (functionName, next) => send({ type: "scheduled", functionName, next }),
    });
    send({ type: "started", port: app.port, functions: app.functions });
  } catch (error) {
    hostLog("critical", `The app cannot be started.\n${stackOf(error)}`);
    send({ type: "failed", ...problemOf(error) });
    process.disconnect();
  }
}

async function invoke(request: number, functionName: string) {
  try {
    const result = await app?.invoke(functionName);
    if (result !== undefined) {
      send({ type: "invoked", request, result });
    }
  } catch (error) {
    send({ type: "refused", request, ...problemOf(error) });
  }
}

async function stop() {
  if (stopping) {
    return;
  }
  stopping = true;
  const inTime = (await app?.stop(graceMs)) ?? true;
  // Standard output is a pipe, which Windows writes in the background.
  process.stdout.write("", () => process.exit(inTime ? 0 : 1));
}

function problemOf(error: unknown): {
  code: HostProblemCode;
  facts: ReturnType<typeof asRotatorError>["facts"];
} {
  const { code, facts } = asRotatorError(error);
  return { code: code in hostProblems ? (code as HostProblemCode) : "FunctionsHostFailed", facts };
}

function send(message: FromFunctions): void {
  if (process.connected) {
    process.send?.(message);
  }
}

function hostLog(level: FunctionsHostLog["level"], message: string): void {
  writeLog({ time: new Date(systemClock.now()).toISOString(), level, category: "host", message });
}

function writeLog(line: FunctionsHostLog): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
