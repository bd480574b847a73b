import type { EventProperties, TelemetryEvent } from "../events.ts";
import { outcomes } from "../events.ts";
import type { Engine, TickOptions } from "./engine.ts";
import type { RotationResult, TargetReport, TickReport } from "./result.ts";
import { isFailure } from "./result.ts";
import type { Rotation, States } from "./rotation.ts";
import { outputKey } from "./rotation.ts";
import { belongsTo, sequence } from "./tags.ts";

/**
 * Says what became of a tick: one event per rotation, one per target that was touched, the metrics, and last the
 * heartbeat, unless only some rotations were asked for.
 */
export function reportTick(
  engine: Engine,
  report: TickReport,
  states: States,
  rotations: readonly Rotation[],
  { pastDue = false, partial = false }: Pick<TickOptions, "pastDue" | "partial">,
): void {
  const now = engine.clock.now();
  const say = (event: TelemetryEvent) => quietly(() => engine.telemetry.event(event, report.operation));
  for (const result of report.rotations) {
    say(rotationEvent(result, now));
    if (result.fallback !== undefined) {
      say({ name: "FallbackUsed", properties: { rotation: result.rotation, ...result.fallback } });
    }
    if (result.signInBy !== undefined) {
      const properties = { rotation: result.rotation, secondsToExpiry: secondsUntil(result.signInBy, now) };
      say({ name: "RefreshTokenExpiring", properties });
    }
  }
  for (const target of report.targets) {
    for (const event of targetEvents(target)) {
      say(event);
    }
  }
  for (const properties of engine.takeThrottled()) {
    say({ name: "VaultThrottled", properties });
  }
  reportMetrics(engine, states, rotations, now);
  if (!partial) {
    say({ name: "TickCompleted", properties: heartbeat(engine, report, pastDue) });
  }
}

/** By its contract a sink does not throw. One that does must not cost what is said after it, nor the tick its report. */
function quietly(tell: () => void): void {
  try {
    tell();
  } catch {}
}

function rotationEvent(result: RotationResult, now: number): TelemetryEvent {
  const facts = {
    rotation: result.rotation,
    outcome: result.outcome,
    reason: result.reason,
    ...(result.expiresOn === undefined ? {} : { secondsToExpiry: secondsUntil(result.expiresOn, now) }),
    durationMs: result.durationMs,
  };
  const failure = {
    stage: result.error?.stage ?? ("decide" as const),
    code: result.error?.code ?? result.outcome,
  };
  switch (outcomes[result.outcome]) {
    case "RotationSucceeded":
      return { name: "RotationSucceeded", properties: facts };
    case "RotationUnchanged":
      return { name: "RotationUnchanged", properties: facts };
    case "RotationFailed":
      return {
        name: "RotationFailed",
        properties: { ...facts, ...failure, attempt: result.error?.attempts ?? 1 },
      };
    case "SignInRequired":
      return {
        name: "SignInRequired",
        properties: { ...facts, ...failure, command: `token-rotator login ${result.rotation}` },
      };
  }
}

function targetEvents({ kind, name, report, durationMs }: TargetReport): TelemetryEvent[] {
  const events: TelemetryEvent[] = [];
  if (report.updated > 0 || report.restarted) {
    const { state, updated: secrets, restarted } = report;
    events.push({
      name: "ConsumerUpdated",
      properties: { consumer: name, kind, state, secrets, restarted, durationMs },
    });
  }
  if (report.error !== undefined) {
    const { code, stage = "propagate" } = report.error;
    events.push({
      name: "ConsumerFailed",
      properties: { consumer: name, kind, state: report.state, stage, code },
    });
  }
  return events;
}

function reportMetrics(engine: Engine, states: States, rotations: readonly Rotation[], now: number): void {
  for (const rotation of rotations) {
    for (const output of rotation.outputs) {
      const state = states.get(outputKey(output));
      if (state?.kind !== "present" || !belongsTo(state.properties, rotation.name)) {
        continue;
      }
      const properties = { rotation: rotation.name, output: output.secret, vault: output.vault };
      if (state.properties.expiresOn !== undefined) {
        const value = secondsUntil(state.properties.expiresOn, now);
        quietly(() => engine.telemetry.metric({ name: "SecondsToExpiry", value, properties }));
      }
      const value = sequence(state.properties);
      quietly(() => engine.telemetry.metric({ name: "SecretVersions", value, properties }));
    }
  }
}

function heartbeat(engine: Engine, report: TickReport, pastDue: boolean): EventProperties["TickCompleted"] {
  const count = (matches: (result: RotationResult) => boolean) =>
    report.rotations.reduce((sum, result) => (matches(result) ? sum + 1 : sum), 0);
  const idleReasons = new Set(["Fresh", "Paused", "Blocked", "ConfigurationInvalid", "StateUnknown"]);
  return {
    rotations: report.rotations.length,
    due: count(({ reason }) => !idleReasons.has(reason)),
    rotated: count(({ outcome }) => outcomes[outcome] === "RotationSucceeded"),
    unchanged: count(({ outcome }) => outcomes[outcome] === "RotationUnchanged"),
    failed: count(({ outcome }) => isFailure(outcome) && outcome !== "NotReached"),
    notReached: count(({ outcome }) => outcome === "NotReached"),
    durationMs: report.durationMs,
    pastDue,
    version: engine.version,
    configuration: engine.configuration,
  };
}

function secondsUntil(date: Date, now: number): number {
  return Math.round((date.getTime() - now) / 1000);
}
