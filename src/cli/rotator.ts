import { resolve } from "node:path";
import { compose } from "../compose.ts";
import type { Configuration } from "../config/configuration.ts";
import { loadConfiguration } from "../config/load.ts";
import { asRotatorError } from "../errors.ts";
import type { Rotator } from "../rotator.ts";
import { createLogTelemetry } from "../telemetry/logTelemetry.ts";
import type { CommonOptions, Io } from "./io.ts";

/** The configuration that `--config` names, relative to where the command was called. */
export async function openConfiguration(io: Io, { config }: CommonOptions): Promise<Configuration> {
  // ROTATIONS_FILE may be set and empty.
  const file = resolve(io.directory, config || "rotations.json");
  try {
    return await loadConfiguration({ file, environment: io.environment });
  } catch (error) {
    throw asRotatorError(error, "configure");
  }
}

/** The product over that configuration, as the functions have it; its log lines are left out, the report is printed. */
export async function openRotator(io: Io, options: CommonOptions): Promise<Rotator> {
  const configuration = await openConfiguration(io, options);
  const telemetry = createLogTelemetry(() => {});
  return compose(configuration, { environment: io.environment, telemetry, clock: io.clock });
}
