import assert from "node:assert/strict";
import { mock, test } from "node:test";
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

const flushes: Readonly<Record<string, Telemetry["flush"]>> = {
  "that is refused": async () => {
    throw new Error("the sink is down");
  },
  "that throws": () => {
    throw new Error("the sink is broken");
  },
  "that never ends, whatever the signal says": () => new Promise(() => {}),
};

for (const [name, flush] of Object.entries(flushes)) {
  test(`a flush of telemetry ${name} changes nothing about the tick`, async () => {
    // The one signal on real time; it comes when everything else has come to rest.
    const controller = new AbortController();
    const timeout = mock.method(AbortSignal, "timeout", () => controller.signal);
    setTimeout(() => controller.abort(), 20);
    const engine = new TestEngine();
    const telemetry: Telemetry = { event: () => {}, metric: () => {}, flush };
    const rotator = new Rotator(configuration, { ...engine, telemetry, storeOf: engine.storeOf }, [
      aRotation(),
    ]);
    const { rotations } = await engine.clock.run(rotator.tick());
    timeout.mock.restore();
    assert.equal(rotations[0]?.outcome, "Rotated");
    assert.equal(engine.store.versions("app-token").length, 1);
  });
}
