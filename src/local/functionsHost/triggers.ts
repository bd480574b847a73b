import { RotatorError } from "../../errors.ts";
import type { Binding, FunctionMetadata } from "./coreModule.ts";
import { type HttpRoute, parseRoute } from "./httpRoutes.ts";
import { parseNcrontab, type Schedule } from "./ncrontab.ts";

/** A registered function and what fires it. `binding` is the name under which the function expects the trigger's data. */
export type TriggeredFunction = { readonly name: string; readonly type: string; readonly binding: string } & (
  | {
      readonly kind: "timer";
      readonly schedule: Schedule;
      readonly runOnStartup: boolean;
      readonly useMonitor: boolean;
    }
  | {
      readonly kind: "http";
      readonly route: HttpRoute;
      /** In upper case. */
      readonly methods: readonly string[];
      readonly authLevel: AuthLevel;
    }
  | { readonly kind: "error"; readonly error: string }
);
export type TimerFunction = TriggeredFunction & { readonly kind: "timer" };
export type HttpFunction = TriggeredFunction & { readonly kind: "http" };

export const authLevels = ["anonymous", "function", "admin"] as const;
export type AuthLevel = (typeof authLevels)[number];

/**
 * What the runtime makes of a function's metadata. One that it cannot fire is in error and the others run, there as here.
 * @param environment the app settings, for `%NAME%` in a schedule
 */
export function readTrigger(metadata: FunctionMetadata, environment: NodeJS.ProcessEnv): TriggeredFunction {
  const { name } = metadata;
  const [binding, trigger] = Object.entries(metadata.bindings).find(([, { type }]) =>
    /trigger$/i.test(type),
  ) ?? ["", { type: "none", direction: "in" }];
  const common = { name, type: trigger.type, binding };
  if (!/^[a-z][\w-]{0,126}$/i.test(name)) {
    return { ...common, kind: "error", error: "its name is not one that the runtime accepts." };
  }
  switch (trigger.type.toLowerCase()) {
    case "timertrigger":
      return { ...common, ...timer(trigger, environment) };
    case "httptrigger":
      return { ...common, ...http(name, trigger) };
    default:
      return { ...common, kind: "error", error: "this host fires timer and HTTP functions only." };
  }
}

function timer({ schedule, runOnStartup, useMonitor }: Binding, environment: NodeJS.ProcessEnv) {
  const unresolved: string[] = [];
  const resolved = String(schedule).replace(/%([^%]+)%/g, (text, setting: string) => {
    const value = environment[setting];
    if (!value) {
      unresolved.push(text);
    }
    return value ?? text;
  });
  if (unresolved.length > 0) {
    return { kind: "error", error: `'${unresolved.join(", ")}' does not resolve to a value.` } as const;
  }
  try {
    return {
      kind: "timer",
      schedule: parseNcrontab(resolved),
      runOnStartup: runOnStartup === true,
      useMonitor: useMonitor !== false,
    } as const;
  } catch (error) {
    if (error instanceof RotatorError) {
      return { kind: "error", error: `${error.summary} ${error.remedy}` } as const;
    }
    throw error;
  }
}

function http(name: string, trigger: Binding) {
  const route = parseRoute(typeof trigger.route === "string" ? trigger.route : name);
  const authLevel = authLevels.find((level) => level === String(trigger.authLevel).toLowerCase());
  if (route === undefined || authLevel === undefined) {
    return {
      kind: "error",
      error: "its route or authorization level is not one that this host knows.",
    } as const;
  }
  const methods = Array.isArray(trigger.methods)
    ? trigger.methods.map((method) => String(method).toUpperCase())
    : [];
  return { kind: "http", route, methods, authLevel } as const;
}
