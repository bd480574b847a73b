import { keepHeapSmall } from "./app/heap.ts";
import type { Health, TickContext } from "./app/runner.ts";
import { Runner } from "./app/runner.ts";
import { systemClock } from "./clock.ts";
import { compose } from "./compose.ts";
import { loadConfiguration } from "./config/load.ts";
import { chooseIdentity } from "./identity.ts";
import type { Telemetry } from "./ports.ts";
import type { Rotator } from "./rotator.ts";
import { createApplicationInsights } from "./telemetry/applicationInsights.ts";
import type { Log } from "./telemetry/logTelemetry.ts";
import { createLogTelemetry, createTelemetryFanOut } from "./telemetry/logTelemetry.ts";

/** The one runner of this process: every function goes through it. */
export const runner = new Runner({ clock: systemClock, telemetry, load });

/** See {@link Runner.runTick}. */
export function runTick(context: TickContext): Promise<void> {
  return runner.runTick(context);
}

/** See {@link Runner.health}. */
export function health(): Health {
  return runner.health();
}

function telemetry(log: Log, traceParent: () => string | undefined): Telemetry {
  const credential = () => chooseIdentity(process.env).credential();
  const insights = createApplicationInsights({ environment: process.env, credential, log, traceParent });
  return createTelemetryFanOut([createLogTelemetry(log), insights], log);
}

let composed: Rotator | undefined;

/**
 * The file is read on every tick, so that a change takes effect without a restart. While it says the same, the rotator
 * and its clients are kept: new ones would pay for another challenge and another token.
 */
async function load(telemetry: Telemetry): Promise<Rotator> {
  const configuration = await loadConfiguration({
    environment: process.env,
    onRead: keepHeapSmall,
  });
  if (composed === undefined || composed.configuration.hash !== configuration.hash) {
    composed = compose(configuration, { environment: process.env, telemetry });
  }
  return composed;
}
