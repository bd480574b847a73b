import assert from "node:assert/strict";
import { test } from "node:test";
import { contentOf } from "../../src/simulation/appModel.ts";
import { type Actor, Simulation } from "../../src/simulation/simulation.ts";
import { configurationOf, furnished, app as idOf } from "./scenario.ts";

const hours = 60 * 60_000;

test("a secret that another writer reverts is excused until it is given anew, whatever else the app is given", async () => {
  let reverts = 0;
  const reverting: Actor = async ({ world, observer }) => {
    const { appUpdated } = observer;
    observer.appUpdated = (update) => {
      appUpdated.call(observer, update);
      const { app, before } = update;
      const old = before.get("uri");
      if (app.id !== idOf("mcp") || old === undefined || contentOf(old) === app.configured("uri")) {
        return;
      }
      void world.clock.sleep(4_000).then(() => {
        const secrets = app.resource.secrets.configured.map(({ name }) => ({
          name,
          value: name === "uri" ? contentOf(old) : app.configured(name),
        }));
        app.resource.patch({ properties: { configuration: { secrets } } });
        app.revertedAt = world.clock.now();
        reverts += 1;
      });
    };
  };
  const simulation = new Simulation({
    configuration: configurationOf(["database", "pair"], 0, "5m"),
    seed: "reverted",
    durationMs: 12 * hours,
    sources: "real",
    actors: [furnished, reverting],
  });
  await simulation.run();
  assert.ok(reverts > 5, String(reverts));
  const excused = simulation.observer.violations.filter(({ where }) => where === "database");
  assert.deepEqual(excused, []);
});
