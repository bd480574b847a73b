import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { appHolder, jobHolder } from "../../src/consumers/containerAppApi.ts";
import { World } from "./support.ts";

describe("reading an app through the real client", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  for (const answer of ["204", "emptyList", "noValue"] as const) {
    it(`takes ${answer} for an app and a job without secrets`, async () => {
      const app = world.addApp({ secrets: [], template: {} });
      const job = world.arm.addJob({ id: world.jobId() });
      world.arm.settings.withoutSecrets = answer;
      for (const holder of [appHolder(app.id, world.environment()), jobHolder(job.id, world.environment())]) {
        const listed = await world.clock.run(holder.listSecrets(world.context()));
        assert.deepEqual(listed.secrets, []);
        assert.equal(listed.serverTime, world.clock.now());
      }
    });
  }

  it("wraps values as soon as they are read", async () => {
    const holder = appHolder(world.addApp().id, world.environment());
    const { secrets } = await world.clock.run(holder.listSecrets(world.context()));
    assert.equal(secrets.find(({ name }) => name === "api-key")?.value?.reveal(), "old-key");
    assert.doesNotMatch(JSON.stringify(secrets), /old-key/);
  });

  it("sends a write once, whatever the SDK would do", async () => {
    const app = world.addApp();
    const holder = appHolder(app.id, world.environment());
    const state = await world.clock.run(holder.read(world.context()));
    world.azure.faults.inject({ operation: "containerApps.update", kind: "lostResponse" });
    await assert.rejects(world.clock.run(holder.update(state, { tags: {} }, world.context())), {
      code: "ConsumerUnavailable",
      ambiguous: true,
    });
    assert.equal(world.azure.requests.count("containerApps.update"), 1);
  });

  it("tells how long to wait: Retry-After, the SDK's interval without one, nothing when it is done", async () => {
    const app = world.addApp();
    const holder = appHolder(app.id, world.environment());
    const waits: number[] = [];
    for (const [durationMs, retryAfterSeconds] of [
      [10, 7],
      [10, 0],
      [10, undefined],
      [0, 7],
    ] as const) {
      app.updates = {
        durationMs,
        outcome: "succeeds",
        tags: "merge",
        ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      };
      const state = await world.clock.run(holder.read(world.context()));
      waits.push(await world.clock.run(holder.update(state, { tags: {} }, world.context())));
      await world.clock.advance(1_000);
    }
    assert.deepEqual(waits, [7_000, 0, 2_000, 0]);
  });

  it("takes every answer of success for an update that was accepted", async () => {
    const holder = appHolder(world.addApp().id, world.environment());
    const state = await world.clock.run(holder.read(world.context()));
    world.azure.faults.inject({ operation: "containerApps.update", kind: "answer", status: 204 });
    assert.equal(await world.clock.run(holder.update(state, { tags: {} }, world.context())), 2_000);
  });

  it("does not keep a client that could not be made", async () => {
    const environment = world.environment();
    let failures = 1;
    const credential = async () => {
      failures -= 1;
      return failures < 0 ? environment.credential() : Promise.reject(new Error("no identity"));
    };
    const holder = appHolder(world.addApp().id, { ...environment, credential });
    assert.equal((await world.clock.run(holder.read(world.context()))).provisioning, "succeeded");
  });

  it("ends with the signal's reason when that aborts, a write too", async () => {
    const holder = appHolder(world.addApp().id, world.environment());
    const state = await world.clock.run(holder.read(world.context()));
    const stop = new AbortController();
    const reason = new Error("the tick is over");
    const gate = world.azure.faults.hold({ operation: "containerApps.update" });
    const update = world.clock.run(holder.update(state, { tags: {} }, world.context(stop.signal)));
    await gate.arrived();
    stop.abort(reason);
    await assert.rejects(update, reason);
  });

  it("ends with the signal's reason when that aborts", async () => {
    const holder = appHolder(world.addApp().id, world.environment());
    const stop = new AbortController();
    const reason = new Error("the tick is over");
    const gate = world.azure.faults.hold({ operation: "containerApps.get" });
    const read = world.clock.run(holder.read(world.context(stop.signal)));
    await gate.arrived();
    stop.abort(reason);
    await assert.rejects(read, reason);
  });
});
