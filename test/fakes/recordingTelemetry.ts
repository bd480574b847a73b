import type { EventName, EventProperties, TelemetryEvent, TelemetryMetric } from "../../src/events.ts";
import type { Telemetry } from "../../src/ports.ts";

/** Keeps what it is told. */
export class RecordingTelemetry implements Telemetry {
  readonly events: (TelemetryEvent & { readonly operation: string })[] = [];
  readonly metrics: TelemetryMetric[] = [];

  event(event: TelemetryEvent, operation: string): void {
    this.events.push({ ...event, operation });
  }

  metric(metric: TelemetryMetric): void {
    this.metrics.push(metric);
  }

  async flush(): Promise<void> {}

  /** The properties of every event of that name. */
  of<Name extends EventName>(name: Name): EventProperties[Name][] {
    return this.events
      .filter((event) => event.name === name)
      .map(({ properties }) => properties as EventProperties[Name]);
  }
}
