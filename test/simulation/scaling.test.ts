import assert from "node:assert/strict";
import { test } from "node:test";
import { type Actor, Simulation } from "../../src/simulation/simulation.ts";
import { app, configurationOf, furnished } from "./scenario.ts";

const hours = 60 * 60_000;

test("an app that is scaled to nothing between the look at its replicas and the restart breaks no rule", async () => {
  let raced = 0;
  // After one update later than after the one before, so that every moment of a restart is met.
  const scaledAfterUpdates: Actor = async ({ world, observer }) => {
    let delayMs = 0;
    const { appUpdated, restartAsked } = observer;
    observer.appUpdated = (update) => {
      appUpdated.call(observer, update);
      delayMs = (delayMs + 130) % 4_000;
      void world.clock.sleep(delayMs).then(() => update.app.scale(0));
      void world.clock.sleep(4 * 60_000).then(() => update.app.scale(1));
    };
    observer.restartAsked = (request) => {
      raced += request.raced && request.app.resource.id === app("mcp") ? 1 : 0;
      restartAsked.call(observer, request);
    };
  };
  const simulation = new Simulation({
    configuration: configurationOf(["database"], 0, "5m"),
    seed: "scaling",
    durationMs: 48 * hours,
    sources: "real",
    actors: [furnished, scaledAfterUpdates],
  });
  await simulation.run();
  assert.ok(raced > 3, String(raced));
  assert.deepEqual(simulation.observer.violations, []);
});
