import type { EventName, TelemetryEvent, TelemetryMetric } from "../events.ts";
import type { Telemetry } from "../ports.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, line: string) => void;

/** Says every event in one line of JSON, for the host's log. Metrics are left to sinks that can keep a series. */
export function createLogTelemetry(log: Log): Telemetry {
  return {
    event: (event, operation) => log(levelOf(event), logLine(event, operation)),
    metric: (_metric: TelemetryMetric) => {},
    flush: async () => {},
  };
}

/** Hands everything to every sink. A sink that throws, against its contract, is said in the log and harms no other. */
export function createTelemetryFanOut(sinks: readonly Telemetry[], log: Log): Telemetry {
  const each = (tell: (sink: Telemetry) => void) => {
    for (const sink of sinks) {
      try {
        tell(sink);
      } catch (error) {
        log("warn", JSON.stringify({ event: "TelemetrySinkFailed", errorName: nameOf(error) }));
      }
    }
  };
  return {
    event: (event, operation) => each((sink) => sink.event(event, operation)),
    metric: (metric) => each((sink) => sink.metric(metric)),
    flush: async (signal) => {
      const flushed = await Promise.allSettled(sinks.map(async (sink) => sink.flush(signal)));
      for (const result of flushed) {
        if (result.status === "rejected") {
          log("warn", JSON.stringify({ event: "TelemetrySinkFailed", errorName: nameOf(result.reason) }));
        }
      }
    },
  };
}

function logLine({ name, properties }: TelemetryEvent, operation: string): string {
  return JSON.stringify({ event: name, operation, ...properties });
}

const levels: Partial<Record<EventName, LogLevel>> = {
  TickFailed: "error",
  RotationFailed: "error",
  SignInRequired: "error",
  ConsumerFailed: "error",
  FallbackUsed: "warn",
  RefreshTokenExpiring: "warn",
  VaultThrottled: "warn",
  RotationUnchanged: "debug",
};

function levelOf({ name }: TelemetryEvent): LogLevel {
  return levels[name] ?? "info";
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
