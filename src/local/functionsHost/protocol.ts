import { type Facts, problems } from "../../errors.ts";
import type { LogCategory, LogLevel } from "./coreModule.ts";

/*
 * What the process that runs the functions and the process that started it say to each other, over the channel that Node
 * gives a forked process. Log lines go over standard output instead, one JSON object a line: what was written there is
 * not lost when the process dies.
 */

export interface StartMessage {
  readonly type: "start";
  readonly packageDirectory: string;
  readonly stateDirectory: string;
  readonly port: number;
  readonly functionKey: string;
  readonly masterKey: string;
  readonly graceMs: number;
}

export type ToFunctions =
  | StartMessage
  | { readonly type: "invoke"; readonly request: number; readonly functionName: string }
  | { readonly type: "stop" };

export type FromFunctions =
  | { readonly type: "started"; readonly port: number; readonly functions: readonly FunctionInfo[] }
  | { readonly type: "failed"; readonly code: HostProblemCode; readonly facts: Facts }
  | { readonly type: "scheduled"; readonly functionName: string; readonly next: number }
  | { readonly type: "invoked"; readonly request: number; readonly result: InvocationResult }
  | {
      readonly type: "refused";
      readonly request: number;
      readonly code: HostProblemCode;
      readonly facts: Facts;
    };

/** A function that the app registered. */
export interface FunctionInfo {
  readonly name: string;
  /** Type of its trigger: `timerTrigger`, `httpTrigger`, … */
  readonly trigger: string;
  /** Why the host does not fire it; as in Azure, the other functions run nevertheless. */
  readonly error?: string;
  /** Of a timer: the NCRONTAB expression in force. */
  readonly schedule?: string;
  /** Of an HTTP function: path of its route, with the prefix: `/api/items/{id}`. */
  readonly route?: string;
  readonly methods?: readonly string[];
}

export interface InvocationResult {
  readonly invocationId: string;
  readonly succeeded: boolean;
  readonly durationMs: number;
  /** What the function failed with; the log has the rest. */
  readonly error?: { readonly name: string; readonly code?: string };
}

export interface FunctionsHostLog {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly level: Exclude<LogLevel, "none">;
  /** `user`: the function's own; `system`: the worker's; `host`: this host's; `console`: anything else it printed. */
  readonly category: LogCategory | "host" | "console";
  readonly message: string;
  readonly functionName?: string;
  readonly invocationId?: string;
}

export const hostProblems = problems({
  FunctionAppInvalid: {
    message: "The function app cannot be started.",
    remedy: "Build the package anew; the log of the functions host says more.",
    retryable: false,
  },
  FunctionsHostFailed: {
    message: "The functions host could not be started.",
    remedy: "The log of the functions host says why: code that failed while it was loaded, or a port in use.",
    retryable: false,
  },
  FunctionUnknown: {
    message: "There is no such function that could be fired.",
    remedy: "Name a function that the host lists without an error and that has a timer trigger.",
    retryable: false,
  },
  FunctionsHostExited: {
    message: "The process that runs the functions has ended.",
    remedy: "See the log of the functions host, and start it again.",
    retryable: false,
  },
});
export type HostProblemCode = keyof typeof hostProblems;
