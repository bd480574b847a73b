import assert from "node:assert/strict";
import { test } from "node:test";
import type { Configuration } from "../src/config/configuration.ts";
import type { Telemetry } from "../src/ports.ts";
import { Rotator } from "../src/rotator.ts";
import { aRotation } from "./builders.ts";
import { TestEngine } from "./fakes/engine.ts";

const configuration: Configuration = {
  file: "rotations.json",
  directory: "/",
  vault: "https://kv-test.vault.azure.net",
  hash: "000000000000",
  tickMs: 300_000,
  retryBudgetMs: 120_000,
  rotations: [],
  problems: [],
};

/** `timeIsUp` aborts the signal that the flush was given. */
const flushes: Readonly<Record<string, (timeIsUp: () => void) => Promise<void>>> = {
  "that is refused": async () => {
    throw new Error("the sink is down");
  },
  "that throws": () => {
    throw new Error("the sink is broken");
  },
  "that never ends, whatever the signal says": (timeIsUp) => {
    setImmediate(timeIsUp);
    return new Promise(() => {});
  },
};

for (const [name, flush] of Object.entries(flushes)) {
  test(`a flush of telemetry ${name} changes nothing about the tick`, async (t) => {
    const controller = new AbortController();
    // The one signal on real time.
    t.mock.method(AbortSignal, "timeout", () => controller.signal);
    const engine = new TestEngine();
    const telemetry: Telemetry = {
      event: () => {},
      metric: () => {},
      flush: () => flush(() => controller.abort()),
    };
    const rotator = new Rotator(configuration, { ...engine, telemetry, storeOf: engine.storeOf }, [
      aRotation(),
    ]);
    const { rotations } = await engine.clock.run(rotator.tick());
    assert.equal(rotations[0]?.outcome, "Rotated");
    assert.equal(engine.store.versions("app-token").length, 1);
  });
}
