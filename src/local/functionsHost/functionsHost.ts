import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { extname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../clock.ts";
import { RotatorError } from "../../errors.ts";
import { SecretValue } from "../../secretValue.ts";
import {
  type FromFunctions,
  type FunctionInfo,
  type FunctionsHostLog,
  hostProblems,
  type InvocationResult,
  type ToFunctions,
} from "./protocol.ts";

export type { FunctionInfo, FunctionsHostLog, InvocationResult } from "./protocol.ts";

export interface FunctionsHostOptions {
  /** The folder that is deployed: `package.json` with its `main`, and the bundle. */
  readonly packageDirectory: string;
  /**
   * The app settings. Nothing else of this process's environment reaches the functions, but for what a process needs to
   * run at all (`PATH`, the home and the temporary folder).
   */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the status of the timers is kept from one start to the next. */
  readonly stateDirectory: string;
  /** Of the HTTP functions, on the loopback interface; any free one by default. */
  readonly port?: number;
  readonly onLog?: (line: FunctionsHostLog) => void;
  /** How long a run that is under way may go on when the host is stopped; 10 s by default. */
  readonly graceMs?: number;
}

export interface FunctionsHost {
  /** Of the HTTP functions, without a trailing slash: `http://127.0.0.1:7071`. */
  readonly url: string;
  readonly functions: readonly FunctionInfo[];
  /** Opens HTTP functions of level `function`, sent as `x-functions-key` or `?code=`. New at every start. */
  readonly functionKey: SecretValue;
  /** Opens every HTTP function. */
  readonly masterKey: SecretValue;
  /**
   * Fires a timer function at once, beside its schedule; resolves when it has run, however it ended.
   * @throws RotatorError `FunctionUnknown`, `FunctionsHostExited`
   */
  invoke(functionName: string): Promise<InvocationResult>;
  /** When a timer is next due; `undefined` where it is no timer or in error. */
  nextRun(functionName: string): Date | undefined;
  /** The exit code, once the process has ended: by `stop`, or by itself. `null` when it was killed. */
  readonly exited: Promise<number | null>;
  /** Waits for runs under way, runs the app's `appTerminate` hooks and ends the process. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Runs a built function app on this machine, in a process of its own: the same files, loaded and called in the same way
 * as by Azure Functions. Timers are fired by their schedule from now on, in UTC.
 * @throws RotatorError `FunctionAppInvalid`, `FunctionsHostFailed`, `FunctionsHostExited`
 */
export async function startFunctionsHost(options: FunctionsHostOptions): Promise<FunctionsHost> {
  const { port = 0, graceMs = 10_000 } = options;
  // The other process has another working directory.
  const packageDirectory = resolve(options.packageDirectory);
  const stateDirectory = resolve(options.stateDirectory);
  const functionKey = newKey();
  const masterKey = newKey();

  const child = fork(childProgram(), [], {
    cwd: packageDirectory,
    env: {
      ...machineEnvironment(),
      ...platformEnvironment,
      // The default is a folder that every user of the machine can write to, and the cache holds code.
      NODE_COMPILE_CACHE: join(stateDirectory, "compile-cache"),
      ...options.environment,
    },
    // Flags of this process (a test runner's, a debugger's) are not the functions'.
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const exited = new Promise<number | null>((ended) => {
    child.on("close", ended);
    child.on("error", () => ended(null));
  });
  forwardLog(child, options.onLog ?? (() => {}));

  const nextRuns = new Map<string, number>();
  const pending = new Map<number, PromiseWithResolvers<InvocationResult>>();
  const started = Promise.withResolvers<{ port: number; functions: readonly FunctionInfo[] }>();
  child.on("message", (message: FromFunctions) => {
    switch (message.type) {
      case "started":
        started.resolve(message);
        break;
      case "failed":
        started.reject(new RotatorError(hostProblems[message.code], { facts: message.facts }));
        break;
      case "scheduled":
        nextRuns.set(message.functionName, message.next);
        break;
      case "invoked":
        pending.get(message.request)?.resolve(message.result);
        pending.delete(message.request);
        break;
      case "refused":
        pending
          .get(message.request)
          ?.reject(new RotatorError(hostProblems[message.code], { facts: message.facts }));
        pending.delete(message.request);
        break;
    }
  });
  void exited.then((code) => {
    const error = new RotatorError(hostProblems.FunctionsHostExited, { facts: { exitCode: code ?? "none" } });
    started.reject(error);
    for (const { reject } of pending.values()) {
      reject(error);
    }
  });

  const send = (message: ToFunctions) => {
    if (child.connected) {
      child.send(message);
    }
  };
  send({
    type: "start",
    packageDirectory,
    stateDirectory,
    port,
    graceMs,
    functionKey: functionKey.reveal(),
    masterKey: masterKey.reveal(),
  });

  const stop = async () => {
    send({ type: "stop" });
    const ended = new AbortController();
    // For a process that is too busy to hear, or to end.
    const kill = systemClock.sleep(graceMs + 2_000, ended.signal).then(
      () => child.kill("SIGKILL"),
      () => {},
    );
    await exited;
    ended.abort();
    await kill;
  };

  let listening: Awaited<typeof started.promise>;
  try {
    listening = await started.promise;
  } catch (error) {
    await stop();
    throw error;
  }
  let requests = 0;
  return {
    url: `http://127.0.0.1:${listening.port}`,
    functions: listening.functions,
    functionKey,
    masterKey,
    invoke: (functionName) => {
      if (!child.connected) {
        return Promise.reject(new RotatorError(hostProblems.FunctionsHostExited));
      }
      const answer = Promise.withResolvers<InvocationResult>();
      requests += 1;
      pending.set(requests, answer);
      send({ type: "invoke", request: requests, functionName });
      return answer.promise;
    },
    nextRun: (functionName) => {
      const next = nextRuns.get(functionName);
      return next === undefined ? undefined : new Date(next);
    },
    exited,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Beside this file, in the sources as well as in the build. */
function childProgram(): string {
  const self = import.meta.url;
  return fileURLToPath(new URL(`./functionsHostChild${extname(self)}`, self));
}

/** What a process needs of the machine. Names differ by operating system; those that are absent stay absent. */
function machineEnvironment(): Record<string, string> {
  const names = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "SystemRoot",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
    "TMP",
  ];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** What the platform adds to the app settings; `Development` is what the runtime calls a developer's machine. */
const platformEnvironment = {
  FUNCTIONS_WORKER_RUNTIME: "node",
  FUNCTIONS_EXTENSION_VERSION: "~4",
  AZURE_FUNCTIONS_ENVIRONMENT: "Development",
};

function newKey(): SecretValue {
  return new SecretValue(randomBytes(32).toString("base64url"));
}

function forwardLog(child: ChildProcess, onLog: (line: FunctionsHostLog) => void): void {
  const lines = (stream: Readable | null, forward: (line: string) => void) => {
    if (stream !== null) {
      createInterface({ input: stream }).on("line", forward);
    }
  };
  lines(child.stdout, (line) => onLog(parseLog(line) ?? printed(line, "information")));
  // The runtime has nothing but the words either.
  lines(child.stderr, (line) => onLog(printed(line, /warn/i.test(line) ? "warning" : "error")));
}

function parseLog(line: string): FunctionsHostLog | undefined {
  try {
    const parsed = JSON.parse(line) as Partial<FunctionsHostLog> | null;
    const { time, level, category, message } = parsed ?? {};
    const complete = [time, level, category, message].every((value) => typeof value === "string");
    return complete ? (parsed as FunctionsHostLog) : undefined;
  } catch {
    return undefined;
  }
}

function printed(message: string, level: "information" | "warning" | "error"): FunctionsHostLog {
  return { time: new Date(systemClock.now()).toISOString(), level, category: "console", message };
}
