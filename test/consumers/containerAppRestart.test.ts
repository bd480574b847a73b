import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { ConsumerReport } from "../../src/ports.ts";
import { minutes, secretsOf, variable, World } from "./support.ts";

describe("restarting what runs", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  const count = (operation: string) => world.azure.requests.count(`containerApps.${operation}`);

  describe("an app that is not running", () => {
    it("is updated and not restarted, and wakes up with the new value", async () => {
      const app = world.addApp({ replicas: 0 });
      const consumer = await world.consumer(app);
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.updated, report.restarted], ["current", 1, false]);
      assert.equal(count("restartRevision"), 0);
      app.scale(1);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    });

    it("gets no new revision either", async () => {
      const app = world.addApp({ replicas: 0 });
      const consumer = await world.consumer(app, [{ secret: "database-uri", restart: "new-revision" }]);
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.restarted, app.revisions.length], ["current", false, 1]);
    });
  });

  for (const restart of ["revision-restart", "new-revision"] as const) {
    it(`replaces what wakes up while the app is being updated, by ${restart}`, async () => {
      const app = world.addApp({ replicas: 0 });
      app.updates = { ...app.updates, durationMs: 20_000 };
      const consumer = await world.consumer(app, [{ secret: "database-uri", restart }]);
      world.azure.faults.onCall({
        afterEffect: ({ operation }) => {
          if (operation === "containerApps.update" && app.containers().length === 0) {
            world.clock.set(world.clock.now() + 5_000);
            app.scale(1);
          }
        },
      });
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.restarted], ["current", true]);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    });
  }

  it("restarts every active revision of an app in multiple mode, and leaves inactive ones alone", async () => {
    const app = world.addApp({ activeRevisionsMode: "Multiple", replicas: 2 });
    const patch = (image: string) =>
      app.patch(
        { properties: { template: { containers: [{ name: "server", image, env: uri }] } } },
        { durationMs: 0, outcome: "succeeds", tags: "merge" },
      );
    const uri = [{ name: "DATABASE_URI", secretRef: "database-uri" }];
    patch("server:2");
    patch("server:3");
    const [first, second, third] = app.revisions;
    assert.ok(first && second && third);
    second.active = false;
    second.replicas = [];
    world.clock.set(world.clock.now() + 60 * minutes);
    // A new revision would get no traffic here, so both kinds come to the same.
    const consumer = await world.consumer(app, [{ secret: "database-uri", restart: "new-revision" }]);
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.restarted], ["current", true]);
    assert.deepEqual(
      world.azure.requests.of("containerApps.restartRevision").map(({ target }) => target),
      [first.name, third.name],
    );
    assert.equal(app.revisions.length, 3);
    assert.deepEqual(variable(app, "DATABASE_URI"), Array(4).fill("postgres://new"));
  });

  describe("with restart none", () => {
    it("updates and looks at nothing that runs", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [{ secret: "database-uri", restart: "none" }]);
      const wanted = [world.rotate("database-uri", "postgres://new")];
      const report = await world.reconcile(consumer, wanted);
      assert.deepEqual([report.state, report.restarted], ["current", false]);
      assert.deepEqual(world.operations(), ["get", "listSecrets", "get", "update", "get", "listSecrets"]);
      await world.reconcile(consumer, wanted);
      assert.deepEqual(world.operations(), ["get"]);
    });

    it("still restarts for the other secrets of the app", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [
        { secret: "database-uri", restart: "none" },
        { secret: "api-key" },
      ]);
      const database = world.rotate("database-uri", "postgres://new");
      const key = world.rotate("api-key", "new-key");
      assert.equal((await world.reconcile(consumer, [database, key])).restarted, true);
      const next = [world.rotate("database-uri", "postgres://newer"), key];
      assert.deepEqual(
        [(await world.reconcile(consumer, next)).restarted, secretsOf(app)["database-uri"]],
        [false, "postgres://newer"],
      );
      assert.equal(app.restarts, 1);
    });
  });

  describe("with new-revision", () => {
    const binding = [{ secret: "database-uri", restart: "new-revision" }] as const;

    it("makes one in the same update, and the old one is replaced", async () => {
      const app = world.addApp({ replicas: 2 });
      const consumer = await world.consumer(app, binding);
      const wanted = [world.rotate("database-uri", "postgres://new")];
      const { containers } = app.template;
      const report = await world.reconcile(consumer, wanted);
      assert.deepEqual([report.state, report.updated, report.restarted], ["current", 1, true]);
      assert.deepEqual([count("update"), count("restartRevision")], [1, 0]);
      assert.deepEqual(
        app.revisions.map(({ active }) => active),
        [false, true],
      );
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new", "postgres://new"]);
      assert.deepEqual(app.template.containers, containers);
      assert.equal((await world.reconcile(consumer, wanted)).restarted, false);
      assert.equal(app.revisions.length, 2);
      const again = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://newer")]);
      assert.deepEqual([again.state, app.revisions.length], ["current", 3]);
    });

    it("works where updates are done at once", async () => {
      const app = world.addApp();
      app.updates = { durationMs: 0, outcome: "succeeds", tags: "merge" };
      const consumer = await world.consumer(app, binding);
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, app.revisions.length], ["current", 2]);
    });

    it("asks for no other one while that does not get ready, and says so in the end", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, binding);
      app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "crashes" };
      const wanted = [world.rotate("database-uri", "postgres://new")];
      const reports = await ticks(consumer, wanted, 6);
      assert.deepEqual(
        reports.map(({ state, error }) => error?.code ?? state),
        ["restarting", "restarting", "RestartFailed", "RestartFailed", "RestartFailed", "RestartFailed"],
      );
      assert.deepEqual([app.revisions.length, count("update")], [2, 1]);
      // The old one goes on serving.
      assert.equal(app.revisions[0]?.active, true);
    });
  });

  describe("with a new revision that cannot be provisioned", () => {
    const binding = [{ secret: "database-uri", restart: "new-revision" }] as const;

    it("makes no other one for the same version, and tries again with the next", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, binding);
      const wanted = [world.rotate("database-uri", "postgres://new")];
      app.updates = { ...app.updates, outcome: "fails" };
      const failing = await ticks(consumer, wanted, 3);
      assert.deepEqual(new Set(failing.map(({ error }) => error?.code)), new Set(["ConsumerUpdateFailed"]));
      assert.equal(app.revisions.length, 2);
      // Without a template in it, the update goes through.
      app.updates = { ...app.updates, outcome: "succeeds" };
      const after = await ticks(consumer, wanted, 3);
      assert.deepEqual(new Set(after.map(({ error }) => error?.code)), new Set(["RestartFailed"]));
      assert.deepEqual([app.revisions.length, secretsOf(app)["database-uri"]], [2, "postgres://new"]);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://old"]);

      const next = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://newer")]);
      assert.deepEqual([next.state, app.revisions.length], ["current", 3]);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://newer"]);
    });
  });

  describe("a platform that is slow to replace", () => {
    it("is asked once, waited for, and reported", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app);
      app.replicaBehaviour = { readyMs: 7 * minutes, drainMs: 1_000, outcome: "ready" };
      const wanted = [world.rotate("database-uri", "postgres://new")];
      const reports = await ticks(consumer, wanted, 3);
      assert.deepEqual(
        reports.map(({ state, restarted }) => [state, restarted]),
        [
          ["restarting", true],
          ["restarting", false],
          ["current", false],
        ],
      );
      assert.equal(app.restarts, 1);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    });

    it("that shows no sign at all is asked once more after ten minutes, and then never again", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app);
      app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "hangs" };
      const wanted = [world.rotate("database-uri", "postgres://new")];
      const reports = await ticks(consumer, wanted, 9);
      assert.deepEqual(
        reports.map(({ restarted }) => restarted),
        [true, false, true, false, false, false, false, false, false],
      );
      const words = reports.map(({ state, error }) => error?.code ?? state);
      assert.deepEqual(words.slice(0, 4), ["restarting", "restarting", "restarting", "restarting"]);
      assert.deepEqual(new Set(words.slice(4)), new Set(["RestartFailed"]));
      assert.equal(app.restarts, 2);
      // One update with the secrets, and a note for each of the two restarts.
      assert.equal(count("update"), 3);
      const inspected = await world.inspect(consumer, wanted);
      assert.deepEqual([inspected.state, inspected.error?.code], ["failed", "RestartFailed"]);

      // The next version is a new beginning.
      app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "ready" };
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://newer")]);
      assert.deepEqual([report.state, report.restarted], ["current", true]);
    });

    it("is asked no sooner by a process that knows nothing of the first one", async () => {
      const app = world.addApp();
      app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "hangs" };
      const wanted = [world.rotate("database-uri", "postgres://new")];
      for (let tick = 0; tick < 3; tick += 1) {
        await world.reconcile(await world.consumer(app), wanted);
      }
      assert.equal(app.restarts, 1);
      assert.equal((await world.inspect(await world.consumer(app), wanted)).state, "restarting");
    });
  });

  it("is noted where notes are refused and the time for retries was spent on waiting", async () => {
    const app = world.addApp();
    app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "hangs" };
    const wanted = [world.rotate("database-uri", "postgres://new")];
    let updates = 0;
    const isNote = () => {
      updates += 1;
      return updates > 1 && updates <= 4;
    };
    world.azure.faults.inject({
      operation: "containerApps.update",
      kind: "answer",
      status: 503,
      match: isNote,
    });
    await world.reconcile(await world.consumer(app), wanted, world.context(undefined, minutes));
    await world.reconcile(await world.consumer(app), wanted, world.context(undefined, minutes));
    assert.ok(updates >= 5, String(updates));
    assert.equal(app.restarts, 1);
  });

  it("reports containers that hold the new value and do not get ready", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "crashes" };
    const wanted = [world.rotate("database-uri", "postgres://new")];
    assert.equal((await world.reconcile(consumer, wanted)).state, "restarting");
    // The old ones end for another reason: maintenance.
    app.latestRevision.replicas = app.latestRevision.replicas.filter(({ ready }) => !ready);
    assert.equal((await world.reconcile(consumer, wanted)).state, "restarting");
    world.clock.set(world.clock.now() + 10 * minutes);
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual([report.state, report.error?.code], ["failed", "RestartUnhealthy"]);
    assert.equal(app.restarts, 1);
  });

  it("notes no restart that is over, though the new containers are not ready", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "crashes" };
    const old = app.latestRevision.replicas;
    world.azure.faults.onCall({
      afterEffect: ({ operation }) => {
        if (operation === "containerApps.restartRevision") {
          app.latestRevision.replicas = app.latestRevision.replicas.filter(
            (replica) => !old.includes(replica),
          );
        }
      },
    });
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.facts], ["restarting", { oldReplicas: 0, unreadyReplicas: 1 }]);
    assert.equal(count("update"), 1);
  });

  it("is content where a revision is gone before it could be restarted", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    world.azure.faults.onCall({
      beforeCall: ({ operation }) => {
        if (operation === "containerApps.restartRevision") {
          world.azure.faults.inject({ operation, kind: "answer", status: 404, times: 1 });
          app.latestRevision.active = false;
        }
      },
    });
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.restarted, count("restartRevision")], ["current", false, 1]);
  });

  it("restarts an app that has crashed because its token expired", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    for (const replica of app.latestRevision.replicas) {
      replica.ready = false;
    }
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.restarted], ["current", true]);
    world.clock.set(world.clock.now() + 1_000);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
  });

  it("takes replicas that come later for what they are: the app's own", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    await world.reconcile(consumer, wanted);
    world.clock.set(world.clock.now() + 30 * minutes);
    app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "crashes" };
    app.scale(3);
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual([report.state, report.restarted], ["current", false]);
  });

  for (const [what, behaviour] of [
    ["at once", {}],
    ["after a while", { createMs: 15_000 }],
    ["and that take their time to get ready", { readyMs: 45_000 }],
  ] as const) {
    it(`asks once where the answer was lost and new replicas come ${what}`, async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app);
      app.replicaBehaviour = { ...app.replicaBehaviour, ...behaviour };
      world.azure.faults.inject({
        operation: "containerApps.restartRevision",
        kind: "lostResponse",
        times: 1,
      });
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.restarted, app.restarts], ["current", true, 1]);
    });
  }

  it("restarts although the platform has just added a replica", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    let seen = 0;
    world.azure.faults.onCall({
      afterEffect: ({ operation }) => {
        seen += operation === "containerApps.listRevisions" ? 1 : 0;
        if (seen === 1) {
          world.clock.set(world.clock.now() + 2_000);
          app.scale(2);
          seen += 1;
        }
      },
    });
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.restarted], ["current", true]);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new", "postgres://new"]);
  });

  it("asks again where a restart was not heard", async () => {
    for (const fault of [
      { kind: "reset" },
      { kind: "answer", status: 500 },
      { kind: "answer", status: 429, retryAfter: 3 },
      { kind: "answer", status: 409 },
    ] as const) {
      world.reset();
      const app = world.addApp();
      const consumer = await world.consumer(app);
      world.azure.faults.inject({ operation: "containerApps.restartRevision", times: 1, ...fault });
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.restarted, app.restarts], ["current", true, 1], fault.kind);
    }
  });

  /** Ticks every five minutes. */
  async function ticks(
    consumer: Awaited<ReturnType<World["consumer"]>>,
    wanted: Parameters<World["reconcile"]>[1],
    times: number,
  ): Promise<ConsumerReport[]> {
    const reports: ConsumerReport[] = [];
    const startedAt = world.clock.now();
    for (let tick = 0; tick < times; tick += 1) {
      world.clock.set(startedAt + tick * 5 * minutes);
      reports.push(await world.reconcile(consumer, wanted));
    }
    return reports;
  }
});
