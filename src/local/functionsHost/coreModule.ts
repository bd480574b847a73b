import Module from "node:module";

/*
 * `@azure/functions-core`: the module that the Node.js worker of the Functions runtime supplies to an app, and through
 * which `@azure/functions` registers functions and hooks. It is not on npm. The shapes below are those parts of its
 * declaration (azure-functions-nodejs-worker, types-core/index.d.ts) that are needed to run timer and HTTP functions.
 */

export type LogLevel = "trace" | "debug" | "information" | "warning" | "error" | "critical" | "none";
export type LogCategory = "user" | "system" | "customMetric";

export interface TypedData {
  string?: string | null;
  json?: string | null;
  bytes?: Uint8Array | null;
  http?: HttpData | null;
}

export interface NullableValue<Value> {
  value?: Value | null;
}

export interface HttpData {
  method?: string;
  url?: string;
  nullableHeaders?: Record<string, NullableValue<string>>;
  nullableParams?: Record<string, NullableValue<string>>;
  nullableQuery?: Record<string, NullableValue<string>>;
  body?: TypedData | null;
  statusCode?: string;
  headers?: Record<string, string>;
  cookies?: HttpCookie[];
}

export interface HttpCookie {
  name?: string;
  value?: string;
  domain?: NullableValue<string>;
  path?: NullableValue<string>;
  expires?: NullableValue<{ seconds?: number }>;
  secure?: NullableValue<boolean>;
  httpOnly?: NullableValue<boolean>;
  sameSite?: "none" | "lax" | "strict" | "explicitNone";
  maxAge?: NullableValue<number>;
}

export interface Binding {
  readonly type: string;
  readonly direction: string;
  readonly [option: string]: unknown;
}

export interface FunctionMetadata {
  readonly name: string;
  readonly functionId?: string;
  readonly bindings: Readonly<Record<string, Binding>>;
  readonly retryOptions?: unknown;
}

export type FunctionCallback = (...inputs: unknown[]) => unknown;

export interface InvocationRequest {
  invocationId: string;
  functionId: string;
  inputData: { name: string; data: TypedData }[];
  triggerMetadata: Record<string, TypedData>;
  traceContext: { traceParent: string; traceState: string; attributes: Record<string, string> };
}

export interface InvocationResponse {
  returnValue?: TypedData | null;
}

/** What the worker gives the programming model for one invocation. */
export interface CoreInvocationContext {
  invocationId: string;
  request: InvocationRequest;
  metadata: FunctionMetadata;
  state: "preInvocationHooks" | "invocation" | "postInvocationHooks" | undefined;
  log(level: LogLevel, category: LogCategory, message: string): void;
}

export interface InvocationModel {
  getArguments(): Promise<{ context: unknown; inputs: unknown[] }>;
  invokeFunction(context: unknown, inputs: unknown[], callback: FunctionCallback): Promise<unknown>;
  getResponse(context: unknown, result: unknown): Promise<InvocationResponse>;
}

export interface ProgrammingModel {
  readonly name: string;
  readonly version: string;
  getInvocationModel(context: CoreInvocationContext): InvocationModel | Promise<InvocationModel>;
  getCapabilities?(
    capabilities: Record<string, string>,
  ): Record<string, string> | Promise<Record<string, string>>;
}

export const hookNames = ["preInvocation", "postInvocation", "appStart", "appTerminate", "log"] as const;
export type HookName = (typeof hookNames)[number];
// Each kind of hook has a context of its own, which `@azure/functions` wraps in a typed one.
export type HookCallback = (context: object) => unknown;

/** What the code of an app has registered. */
export interface Registrations {
  readonly functions: Map<
    string,
    { readonly metadata: FunctionMetadata; readonly callback: FunctionCallback }
  >;
  readonly hooks: Readonly<Record<HookName, HookCallback[]>>;
  model: ProgrammingModel | undefined;
  /** Set once the app has started; functions may be registered only before. */
  locked: boolean;
}

/**
 * Makes `require("@azure/functions-core")` give the module, from now on and in the whole process, in the way that the
 * worker does it. Only `require` is intercepted, there as here: a bundle that would `import` the module fails in both.
 */
export function provideCoreModule(
  log: (level: LogLevel, category: LogCategory, message: string) => void,
): Registrations {
  const registrations: Registrations = {
    functions: new Map(),
    hooks: { preInvocation: [], postInvocation: [], appStart: [], appTerminate: [], log: [] },
    model: undefined,
    locked: false,
  };
  const core = coreModule(registrations, log);
  const original = Module.prototype.require;
  Module.prototype.require = new Proxy(original, {
    apply: (target, self, args) =>
      args[0] === "@azure/functions-core" ? core : Reflect.apply(target, self, args),
  });
  return registrations;
}

function coreModule(
  registrations: Registrations,
  log: (level: LogLevel, category: LogCategory, message: string) => void,
) {
  return {
    // The newest worker and host whose behaviour this is; an app may ask for a minimum.
    version: "3.12.0",
    hostVersion: "4.1044.0",
    Disposable,
    log,
    setProgrammingModel: (model: ProgrammingModel) => {
      registrations.model = model;
    },
    getProgrammingModel: () => registrations.model,
    registerFunction: (metadata: FunctionMetadata, callback: FunctionCallback) => {
      const id = metadata.functionId ?? metadata.name;
      if (registrations.locked) {
        throw new Error("A function can only be registered during app startup.");
      }
      if (registrations.functions.has(id)) {
        throw new Error(`A function with id "${id}" has already been registered.`);
      }
      registrations.functions.set(id, { metadata, callback });
      return new Disposable(() => {
        if (registrations.locked) {
          throw new Error("A function can only be disposed during app startup.");
        }
        registrations.functions.delete(id);
      });
    },
    registerHook: (name: string, callback: HookCallback) => {
      const hooks = registrations.hooks[name as HookName];
      if (hooks === undefined) {
        throw Object.assign(new RangeError(`Unrecognized hook "${name}"`), {
          isAzureFunctionsSystemError: true,
        });
      }
      hooks.push(callback);
      return new Disposable(() => {
        const index = hooks.indexOf(callback);
        if (index !== -1) {
          hooks.splice(index, 1);
        }
      });
    },
  };
}

class Disposable {
  #dispose: (() => unknown) | undefined;

  constructor(dispose: () => unknown) {
    this.#dispose = dispose;
  }

  static from(...disposables: { dispose?: () => unknown }[]): Disposable {
    return new Disposable(() => {
      for (const disposable of disposables) {
        disposable.dispose?.();
      }
    });
  }

  dispose(): unknown {
    const dispose = this.#dispose;
    this.#dispose = undefined;
    return dispose?.();
  }
}
