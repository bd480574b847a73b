import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { RotatorError } from "../../errors.ts";
import type { Clock } from "../../ports.ts";
import type { InvocationResponse, TypedData } from "./coreModule.ts";
import { loadFunctionApp } from "./functionApp.ts";
import { createHttpTriggers, type HttpKeys } from "./httpTrigger.ts";
import { type FunctionInfo, type FunctionsHostLog, hostProblems, type InvocationResult } from "./protocol.ts";
import { timerStatusFiles } from "./timerStatusFiles.ts";
import { startTimerTrigger, type TimerInfo, type TimerTrigger } from "./timerTrigger.ts";
import { readTrigger, type TriggeredFunction } from "./triggers.ts";

export interface HostedAppOptions {
  readonly packageDirectory: string;
  readonly stateDirectory: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly keys: HttpKeys;
  /** The app settings. */
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly writeLog: (line: FunctionsHostLog) => void;
  readonly onScheduled: (functionName: string, next: number) => void;
}

export interface HostedApp {
  readonly port: number;
  readonly functions: readonly FunctionInfo[];
  /**
   * Fires a timer function at once, as the admin endpoint of the runtime does: beside its schedule.
   * @throws RotatorError `FunctionUnknown`
   */
  invoke(functionName: string): Promise<InvocationResult>;
  /** Whether what was under way, and then the app's `appTerminate` hooks, came to an end within that time. */
  stop(graceMs: number): Promise<boolean>;
}

/**
 * Runs a function app in this process: what the Functions runtime and its Node.js worker do together.
 * @throws RotatorError `FunctionAppInvalid`, and whatever the app's code throws while it is loaded
 */
export async function hostApp(options: HostedAppOptions): Promise<HostedApp> {
  const { clock, environment } = options;
  const log = (line: Omit<FunctionsHostLog, "time">) =>
    options.writeLog({ time: new Date(clock.now()).toISOString(), ...line });
  const warn = (message: string) => log({ level: "warning", category: "host", message });

  const app = await loadFunctionApp(options.packageDirectory, log);
  const functions = app.functions.map((metadata) => readTrigger(metadata, environment));
  for (const { name, ...rest } of functions) {
    if (rest.kind === "error") {
      log({ level: "error", category: "host", message: `The '${name}' function is in error: ${rest.error}` });
    }
  }
  for (const { name } of app.functions.filter(({ retryOptions }) => retryOptions)) {
    warn(`The retry policy of '${name}' is ignored here: a failed function runs again when it is next due.`);
  }

  const underWay = new Set<Promise<unknown>>();
  const run = async ({ name, binding }: TriggeredFunction, data: TypedData, reason: string) => {
    const invocationId = randomUUID();
    const startedAt = clock.now();
    const say = (level: "information" | "error", message: string) =>
      log({ level, category: "host", message, functionName: name, invocationId });
    say("information", `Executing 'Functions.${name}' (Reason='${reason}', Id=${invocationId})`);
    const running = app.invoke(name, { invocationId, binding, data });
    underWay.add(running);
    const [outcome] = await Promise.allSettled([running]);
    underWay.delete(running);
    const durationMs = clock.now() - startedAt;
    const ended = `Id=${invocationId}, Duration=${durationMs}ms`;
    const result = { invocationId, durationMs };
    if (outcome.status === "fulfilled") {
      say("information", `Executed 'Functions.${name}' (Succeeded, ${ended})`);
      return { outcome, result: { ...result, succeeded: true } };
    }
    say("error", `Executed 'Functions.${name}' (Failed, ${ended})\n${stackOf(outcome.reason)}`);
    return { outcome, result: { ...result, succeeded: false, error: nameOf(outcome.reason) } };
  };

  const server = createHttpTriggers(
    functions.filter((each) => each.kind === "http"),
    options.keys,
    async (httpFunction, request): Promise<InvocationResponse> => {
      const { outcome } = await run(httpFunction, { http: request }, "This function was called over HTTP");
      if (outcome.status === "rejected") {
        throw outcome.reason;
      }
      return outcome.value;
    },
  );
  server.listen(options.port, "127.0.0.1");
  await once(server, "listening");

  const statuses = timerStatusFiles(options.stateDirectory);
  const timers = new Map<string, { timer: TriggeredFunction; trigger: TimerTrigger }>();
  const fire = (timer: TriggeredFunction, info: TimerInfo, reason: string) =>
    run(timer, { json: JSON.stringify(info) }, reason);
  for (const timer of functions.filter((each) => each.kind === "timer")) {
    const trigger = await startTimerTrigger({
      ...timer,
      clock,
      statuses,
      warn,
      invoke: async (info, reason) => void (await fire(timer, info, reason)),
      onScheduled: (next) => options.onScheduled(timer.name, next),
    });
    timers.set(timer.name, { timer, trigger });
  }

  return {
    port: (server.address() as AddressInfo).port,
    functions: functions.map(describe),
    invoke: async (functionName) => {
      const known = timers.get(functionName);
      if (known === undefined) {
        throw new RotatorError(hostProblems.FunctionUnknown, { facts: { function: functionName } });
      }
      const { timer, trigger } = known;
      return (await fire(timer, trigger.info(), "This function was called by the host")).result;
    },
    stop: async (graceMs) => {
      const giveUpAt = clock.now() + graceMs;
      server.close();
      server.closeIdleConnections();
      const ended = (async () => {
        await Promise.all([...timers.values()].map(({ trigger }) => trigger.stop()));
        await Promise.allSettled(underWay);
      })();
      const inTime = await within(giveUpAt, clock, ended);
      if (!inTime) {
        warn("A function was still running when the host stopped; it was abandoned.");
      }
      const terminated = app
        .terminate()
        .catch((error) => warn(`An appTerminate hook failed.\n${stackOf(error)}`));
      return (await within(giveUpAt, clock, terminated)) && inTime;
    },
  };
}

function describe(each: TriggeredFunction): FunctionInfo {
  const { name, type } = each;
  switch (each.kind) {
    case "timer":
      return { name, trigger: type, schedule: each.schedule.expression };
    case "http":
      return { name, trigger: type, route: each.route.path, methods: each.methods };
    case "error":
      return { name, trigger: type, error: each.error };
  }
}

/** Whether the work ended before that time. */
async function within(giveUpAt: number, clock: Clock, work: Promise<unknown>): Promise<boolean> {
  const ended = new AbortController();
  const late = clock.sleep(Math.max(0, giveUpAt - clock.now()), ended.signal).then(
    () => false,
    () => true,
  );
  return Promise.race([work.then(() => true), late]).finally(() => ended.abort());
}

function nameOf(error: unknown): NonNullable<InvocationResult["error"]> {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return {
    name: typeof name === "string" ? name : typeof error,
    ...(typeof code === "string" ? { code } : {}),
  };
}

/** Never the error's other fields: they may hold a whole request, headers included. */
export function stackOf(error: unknown): string {
  if (error instanceof RotatorError) {
    return error.summary;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
