import { randomBytes } from "node:crypto";
import { glob, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { RotatorError } from "../../errors.ts";
import {
  type CoreInvocationContext,
  type FunctionMetadata,
  type HookName,
  type InvocationResponse,
  type LogCategory,
  type LogLevel,
  provideCoreModule,
  type TypedData,
} from "./coreModule.ts";
import { hostProblems } from "./protocol.ts";

/** One line of an app's log as the worker sends it to the host. */
export interface WorkerLog {
  readonly level: Exclude<LogLevel, "none">;
  readonly category: LogCategory;
  readonly message: string;
  readonly functionName?: string;
  readonly invocationId?: string;
}

/** What fires a function: the name of its trigger's binding and the data for it. */
export interface Trigger {
  readonly invocationId: string;
  readonly binding: string;
  readonly data: TypedData;
}

export interface FunctionApp {
  readonly functions: readonly FunctionMetadata[];
  /** Runs a function with its hooks. Rejects with what the function, or a hook after it, made of it. */
  invoke(name: string, trigger: Trigger): Promise<InvocationResponse>;
  /** Runs the `appTerminate` hooks. */
  terminate(): Promise<void>;
}

/**
 * Loads the app in a folder as the Node.js worker does (azure-functions-nodejs-worker, startApp and InvocationHandler):
 * every file that `main` of its `package.json` matches, then the `appStart` hooks. Once per process.
 * @throws RotatorError `FunctionAppInvalid`, or what the app's own code throws
 */
export async function loadFunctionApp(
  directory: string,
  writeLog: (log: WorkerLog) => void,
): Promise<FunctionApp> {
  const appHookData = {};
  const appLevelHookData = {};

  const log = (
    line: Omit<WorkerLog, "level"> & { level: LogLevel },
    hookData: object = {},
    invocationContext?: unknown,
  ) => {
    const said = hookContext(
      { hookData, appHookData, invocationContext, category: line.category },
      { level: line.level, message: line.message },
    );
    try {
      for (const hook of registrations.hooks.log) {
        hook(said);
      }
    } catch {
      // A hook that fails must not cost the line.
    }
    // Hooks may change what the app says, not what the worker says.
    const { level, message } = line.category === "user" ? said : line;
    if (level !== "none") {
      writeLog({ ...line, level, message });
    }
  };
  const registrations = provideCoreModule((level, category, message) => log({ level, category, message }));
  const runHooks = async (name: HookName, context: object) => {
    for (const hook of registrations.hooks[name]) {
      await hook(context);
    }
  };

  await importEntryPoints(directory, (file) =>
    log({ level: "debug", category: "system", message: `Loaded entry point file "${file}"` }),
  );
  const { model } = registrations;
  if (model === undefined || registrations.functions.size === 0) {
    throw new RotatorError(hostProblems.FunctionAppInvalid, {
      facts: { reason: "no function is registered" },
    });
  }
  const capabilities = await model.getCapabilities?.({});
  if (capabilities?.HttpUri !== undefined) {
    throw new RotatorError(hostProblems.FunctionAppInvalid, {
      facts: { reason: "the app enables HTTP streaming, which this host does not have" },
    });
  }
  const appContext = { hookData: appLevelHookData, appHookData };
  await runHooks("appStart", hookContext(appContext, { functionAppDirectory: directory }));
  registrations.locked = true;

  const invoke = async (name: string, trigger: Trigger) => {
    const registered = registrations.functions.get(name);
    if (registered === undefined) {
      throw new RotatorError(hostProblems.FunctionUnknown, { facts: { function: name } });
    }
    const hookData = {};
    const { invocationId } = trigger;
    let context: unknown;
    const core: CoreInvocationContext = {
      invocationId,
      metadata: registered.metadata,
      request: {
        invocationId,
        functionId: name,
        inputData: [{ name: trigger.binding, data: trigger.data }],
        triggerMetadata: {},
        traceContext: { traceParent: newTraceParent(), traceState: "", attributes: {} },
      },
      state: undefined,
      log: (level, category, message) =>
        log({ level, category, message, functionName: name, invocationId }, hookData, context),
    };
    const invocation = await model.getInvocationModel(core);
    const { inputs, ...given } = await invocation.getArguments();
    context = given.context;
    const shared = { hookData, appHookData, invocationContext: context };

    const before = hookContext(shared, { inputs, functionCallback: registered.callback });
    core.state = "preInvocationHooks";
    await runHooks("preInvocation", before);

    const result: unknown = null;
    const error: unknown = null;
    const after = hookContext(shared, { inputs: before.inputs, result, error });
    core.state = "invocation";
    try {
      after.result = await invocation.invokeFunction(context, before.inputs, before.functionCallback);
    } catch (thrown) {
      after.error = thrown;
    }
    core.state = "postInvocationHooks";
    await runHooks("postInvocation", after);
    core.state = undefined;

    // A hook may take the error away, or put one there.
    if (after.error !== null && after.error !== undefined) {
      throw after.error;
    }
    return invocation.getResponse(context, after.result);
  };

  return {
    functions: [...registrations.functions.values()].map(({ metadata }) => metadata),
    invoke,
    terminate: () => runHooks("appTerminate", hookContext(appContext, {})),
  };
}

/** What a hook gets: it may change `changeable`; an assignment to the rest throws, as in the worker. */
function hookContext<Fixed extends object, Changeable extends object>(
  fixed: Fixed,
  changeable: Changeable,
): Readonly<Fixed> & Changeable {
  const context = { ...changeable } as Fixed & Changeable;
  for (const [name, value] of Object.entries(fixed)) {
    Object.defineProperty(context, name, { value, enumerable: true });
  }
  return context;
}

/** A new W3C trace, so that what the app sends to telemetry can be told apart by invocation. */
function newTraceParent(): string {
  return `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
}

async function importEntryPoints(directory: string, onLoaded: (file: string) => void): Promise<void> {
  const invalid = (reason: string) =>
    new RotatorError(hostProblems.FunctionAppInvalid, { facts: { reason } });
  const text = await readFile(join(directory, "package.json"), "utf8").catch(() => {
    throw invalid("package.json cannot be read");
  });
  const { main, type } = parsePackage(text) ?? {};
  if (typeof main !== "string") {
    throw invalid("package.json has no main");
  }
  const files: string[] = [];
  for await (const file of glob(main, { cwd: directory })) {
    files.push(file);
  }
  if (files.length === 0) {
    throw invalid(`no file matches ${main}`);
  }
  const require = createRequire(join(directory, "package.json"));
  for (const file of files.sort()) {
    const path = join(directory, file);
    if (file.endsWith(".mjs") || (type === "module" && !file.endsWith(".cjs"))) {
      await import(pathToFileURL(path).href);
    } else {
      require(path);
    }
    onLoaded(file);
  }
}

function parsePackage(text: string): { main?: unknown; type?: unknown } | undefined {
  try {
    return JSON.parse(text) as { main?: unknown; type?: unknown };
  } catch {
    return undefined;
  }
}
