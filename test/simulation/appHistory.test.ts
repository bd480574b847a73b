import assert from "node:assert/strict";
import { test } from "node:test";
import { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import { AppHistory } from "../../src/simulation/appHistory.ts";
import { type RestartAsked, violationsOf } from "../../src/simulation/invariants.ts";
import { Obstacles } from "../../src/simulation/obstacles.ts";
import { Random } from "../../src/simulation/random.ts";
import { Readers } from "../../src/simulation/readers.ts";
import { Runs } from "../../src/simulation/runs.ts";
import { World } from "../../src/simulation/world.ts";
import { app as idOf, vault as vaultUrl } from "./scenario.ts";

const minutes = 60_000;

function aWorld(): World {
  return new World({
    startAt: 0,
    random: new Random("apps"),
    latencyMs: 0,
    noise: 0,
    promisesOnly: true,
  });
}

test("a restart after a failed update may be asked for once more, and no other one", async () => {
  const world = aWorld();
  const app = world.addApp(idOf("mcp"), ["uri"], 1);
  const readers = new Readers(world, () => {});
  const history = new AppHistory(world, new Obstacles(world), readers, new Runs());
  const { resource } = app;
  assert.ok(resource instanceof EmbeddedContainerApp);
  const revision = resource.latestRevision.name;
  const ask = () => violationsOf(history.restartAsked({ app, revision, raced: false }) as RestartAsked);

  app.failedAt = world.clock.now();
  await world.clock.advance(minutes);
  assert.deepEqual(ask(), []);
  await world.clock.advance(20 * minutes);
  assert.deepEqual(ask(), []);

  await world.clock.advance(20 * minutes);
  const before = new Map(resource.secrets.configured.map((secret) => [secret.name, secret]));
  resource.patch({
    properties: {
      configuration: {
        secrets: [
          { name: "uri", value: "new" },
          { name: "somebody-elses", value: "x" },
        ],
      },
    },
  });
  history.updated({ app, before, change: { tags: {}, secrets: [] }, raced: false }, []);
  await world.clock.advance(minutes);
  assert.deepEqual(ask(), []);
  resource.restart(revision);
  await world.clock.advance(20 * minutes);
  assert.deepEqual(ask(), [["oneRestartPerChange", "restarted although nothing ran with an older value"]]);
});

test("an app that cannot read the reference that it was given has not taken it", async () => {
  const world = aWorld();
  const app = world.addApp(idOf("ref"), ["token"], 1);
  assert.ok(app.hasTaken("token"));
  const vault = world.vault(vaultUrl);
  const { id } = vault.write("token", "new", {});
  const give = () =>
    app.resource.patch({
      properties: {
        configuration: {
          secrets: [
            { name: "token", keyVaultUrl: `${vaultUrl}/secrets/token/${id}`, identity: "system" },
            { name: "somebody-elses", value: "x" },
          ],
        },
      },
    });
  give();
  vault.update("token", { enabled: false }, id);
  await world.clock.advance(minutes);
  app.resource.settle();
  assert.ok(!app.hasTaken("token"));
  vault.update("token", { enabled: true }, id);
  assert.ok(!app.hasTaken("token"));
  give();
  await world.clock.advance(minutes);
  app.resource.settle();
  assert.ok(app.hasTaken("token"));
});
