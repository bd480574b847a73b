import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import type { Consumer, WantedSecret } from "../../src/ports.ts";
import { minutes, secretsOf, variable, World } from "./support.ts";

/*
 * A process that is killed before any call that a run makes, or after the call took effect and before its answer. The
 * calls are those of a run that nobody kills, so a call that is added later is covered without anybody remembering.
 */

const killed = new Error("killed");

describe("a killed run of the consumer container-app", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  for (const restart of ["revision-restart", "new-revision"] as const) {
    for (const stage of ["beforeCall", "afterEffect"] as const) {
      it(`heals on the next tick, exactly once: ${restart}, ${stage}`, async () => {
        const whole = await killedRun(restart, stage, Number.POSITIVE_INFINITY);
        assert.ok(whole.calls >= 8, `only ${whole.calls} calls`);
        for (let call = 1; call <= whole.calls; call += 1) {
          const { operation, ...end } = await killedRun(restart, stage, call);
          const { calls: _, operation: __, ...expected } = whole;
          assert.deepEqual(end, { ...expected, calls: end.calls }, `killed at call ${call}, ${operation}`);
        }
      });
    }
  }

  it("heals also when a second process is killed at the next call, and so on to the end", async () => {
    const { app, consumer, wanted } = await scene("revision-restart");
    for (let call = 1; call <= 40; call += 1) {
      const ended = await killAt(consumer, wanted, "afterEffect", call);
      if (ended.calls < call) {
        break;
      }
      world.clock.set(world.clock.now() + 5 * minutes);
    }
    assert.equal(app.restarts, 1);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    assert.equal((await world.reconcile(consumer, wanted)).state, "current");
  });

  it("restarts a replica that came into being while the update was under way", async () => {
    const { app, consumer, wanted } = await scene("revision-restart");
    app.updates = { ...app.updates, durationMs: 20_000 };
    app.scale(0);
    // The update is accepted; then somebody calls the app.
    world.azure.faults.onCall({
      afterEffect: ({ operation }) => {
        if (operation === "containerApps.update") {
          world.clock.set(world.clock.now() + 5_000);
          app.scale(1);
        }
      },
    });
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual([report.state, report.restarted], ["current", true]);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
  });

  async function scene(
    restart: "revision-restart" | "new-revision",
  ): Promise<{ app: EmbeddedContainerApp; consumer: Consumer; wanted: WantedSecret[] }> {
    const app = world.addApp();
    const consumer = await world.consumer(app, [
      { secret: "database-uri", restart },
      { secret: "api-key", restart },
    ]);
    const wanted = [world.rotate("database-uri", "postgres://new"), world.rotate("api-key", "new-key")];
    return { app, consumer, wanted };
  }

  /** Runs until the call of that number, as far as there is one. */
  async function killAt(
    consumer: Consumer,
    wanted: readonly WantedSecret[],
    stage: "beforeCall" | "afterEffect",
    call: number,
  ): Promise<{ calls: number; operation: string }> {
    world.azure.requests.clear();
    const process = new AbortController();
    let operation = "none";
    const stop = world.azure.faults.onCall({
      [stage]: (record: { sequence: number; operation: string }) => {
        if (record.sequence === call) {
          operation = record.operation;
          process.abort(killed);
          return "drop";
        }
        return undefined;
      },
    });
    const run = world.reconcile(consumer, wanted, world.context(process.signal));
    await run.catch((error: unknown) => assert.equal(error, killed));
    stop();
    return { calls: world.azure.requests.all.length, operation };
  }

  async function killedRun(
    restart: "revision-restart" | "new-revision",
    stage: "beforeCall" | "afterEffect",
    call: number,
  ) {
    const { app, consumer, wanted } = await scene(restart);
    const { calls, operation } = await killAt(consumer, wanted, stage, call);
    assert.equal(Number.isFinite(call), operation !== "none");
    // A new process: it remembers nothing.
    world.clock.set(world.clock.now() + 5 * minutes);
    const again = await world.consumer(app, [
      { secret: "database-uri", restart },
      { secret: "api-key", restart },
    ]);
    const report = await world.reconcile(again, wanted);
    assert.equal(report.state, "current", `killed at call ${call}, ${operation}: ${report.error?.summary}`);
    return {
      calls,
      operation,
      secrets: secretsOf(app)["database-uri"],
      runs: [variable(app, "DATABASE_URI"), variable(app, "API_KEY")],
      restarts: app.restarts,
      revisions: app.revisions.length,
      active: app.revisions.filter(({ active }) => active).length,
      tags: Object.keys(app.tags).toSorted(),
    };
  }
});
