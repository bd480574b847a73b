import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import { firstIdentity } from "../local/support.ts";
import { minutes, secretsOf, variable, World } from "./support.ts";

const atOnce = { durationMs: 0, outcome: "succeeds", tags: "merge" } as const;

describe("updating an app that is not ours alone", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  const count = (operation: string) => world.azure.requests.count(`containerApps.${operation}`);

  /** Another writer that lists the secrets, changes one of them, and sends the list. */
  function writeSecret(
    app: EmbeddedContainerApp,
    name: string,
    value: string,
    listed = app.secrets.configured,
  ): void {
    const secrets = listed.map((secret) =>
      "value" in secret ? { name: secret.name, value: secret.value.reveal() } : secret,
    );
    const others = secrets.filter((secret) => secret.name !== name);
    app.patch({ properties: { configuration: { secrets: [...others, { name, value }] } } }, atOnce);
  }

  /** Lets something happen after the call of that operation, once per number. */
  function afterCall(operation: string, happen: (times: number) => void): void {
    let times = 0;
    world.azure.faults.onCall({
      afterEffect: (call) => {
        if (call.operation === `containerApps.${operation}`) {
          times += 1;
          happen(times);
        }
      },
    });
  }

  it("waits for an operation in progress, and keeps what it changed", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    app.patch(
      {
        properties: {
          configuration: {
            secrets: [
              { name: "database-uri", value: "x" },
              { name: "api-key", value: "theirs" },
              { name: "added", value: "theirs too" },
            ],
          },
        },
      },
      { ...atOnce, durationMs: 40_000 },
    );
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.updated], ["current", 1]);
    assert.deepEqual(secretsOf(app), {
      "database-uri": "postgres://new",
      "api-key": "theirs",
      added: "theirs too",
    });
  });

  it("begins again when an operation begins between its reads and its update", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    afterCall("get", (times) => {
      if (times === 2) {
        writeSecret(app, "added", "theirs");
        app.occupy(20_000);
      }
    });
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.restarted, app.restarts], ["current", true, 1]);
    assert.equal(world.azure.requests.of("containerApps.update")[0]?.status, 409);
    assert.equal(count("update"), 2);
    assert.deepEqual([secretsOf(app).added, secretsOf(app)["database-uri"]], ["theirs", "postgres://new"]);
  });

  it("makes a revision of its own beside another run that makes one in the same second", async () => {
    const app = world.addApp();
    const bindings = [{ secret: "database-uri", restart: "new-revision" as const }];
    const [timer, person] = await Promise.all([world.consumer(app, bindings), world.consumer(app, bindings)]);
    const older = world.rotate("database-uri", "postgres://older");
    const newest = world.rotate("database-uri", "postgres://newer");
    const load: typeof newest.load = async (context) => {
      // The vault is slow: the other update has come to its end by then.
      await world.clock.sleep(3_000);
      return newest.load(context);
    };
    const newer = { ...newest, load };
    const both = [timer.reconcile([older], world.context()), person.reconcile([newer], world.context())];
    await world.clock.run(Promise.all(both));
    await world.clock.advance(minutes);
    await world.reconcile(timer, [newer]);
    await world.clock.advance(minutes);
    assert.equal(secretsOf(app)["database-uri"], "postgres://newer");
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://newer"]);
  });

  it("begins again when another writer comes between its two reads", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    afterCall("listSecrets", (times) => times === 1 && writeSecret(app, "added", "theirs"));
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, count("update")], ["current", 1]);
    assert.deepEqual([secretsOf(app).added, secretsOf(app)["database-uri"]], ["theirs", "postgres://new"]);
  });

  it("makes its change once more when another writer sends a list from before it", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    app.updates = atOnce;
    const stale = app.secrets.configured;
    // The tags stay: only the value shows it.
    afterCall("update", (times) => times === 1 && writeSecret(app, "api-key", "theirs", stale));
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.error, count("update")], ["current", undefined, 2]);
    assert.deepEqual(
      [secretsOf(app)["api-key"], secretsOf(app)["database-uri"]],
      ["theirs", "postgres://new"],
    );
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    assert.equal(app.restarts, 1);
  });

  it("reports a writer that does so every time, and is right again on the tick after it has stopped", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    app.updates = atOnce;
    const stale = app.secrets.configured;
    const tags = app.tags;
    const wanted = [world.rotate("database-uri", "postgres://new")];
    afterCall("update", () => {
      writeSecret(app, "api-key", "theirs", stale);
      app.tags = tags;
    });
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual(
      [report.state, report.error?.code, report.error?.retryable],
      ["failed", "ConsumerRaceLost", true],
    );
    assert.deepEqual([report.error?.facts.secrets, report.behind], ["database-uri", ["database-uri"]]);
    assert.equal(count("update"), 2);
    world.azure.faults.clear();
    assert.equal((await world.reconcile(consumer, wanted)).state, "current");
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
  });

  it("reports another secret that vanished meanwhile, and restarts for its own all the same", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app, [{ secret: "database-uri" }]);
    app.updates = atOnce;
    afterCall("update", () =>
      app.patch(
        {
          properties: {
            configuration: {
              secrets: [
                { name: "database-uri", value: "postgres://new" },
                { name: "api-key", value: "k" },
              ],
            },
          },
        },
        atOnce,
      ),
    );
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.error?.code], ["failed", "ConsumerRaceLost"]);
    assert.equal(report.error?.facts.secrets, "registry-password,by-reference");
    assert.deepEqual([report.restarted, report.updated, report.behind], [true, 1, []]);
  });

  it("updates once where the answer was lost", async () => {
    for (const fault of [{ kind: "lostResponse" }, { kind: "lostResponse", status: 502 }] as const) {
      world.reset();
      const app = world.addApp();
      const consumer = await world.consumer(app);
      world.azure.faults.inject({ operation: "containerApps.update", times: 1, ...fault });
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.restarted, app.restarts], ["current", true, 1]);
      assert.equal(count("update"), 1);
    }
  });

  it("waits out throttling, with and without Retry-After, and takes the time it is told", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const { faults } = world.azure;
    faults.inject({ operation: "containerApps.get", kind: "answer", status: 429, times: 1 });
    faults.inject({
      operation: "containerApps.listSecrets",
      kind: "answer",
      status: 429,
      retryAfter: 30,
      times: 1,
    });
    faults.inject({
      operation: "containerApps.update",
      kind: "answer",
      status: 429,
      retryAfter: 40,
      times: 1,
    });
    faults.inject({ operation: "containerApps.listReplicas", kind: "answer", status: 503, times: 1 });
    const startedAt = world.clock.now();
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, app.restarts], ["current", 1]);
    assert.ok(world.clock.now() - startedAt >= 70_000);
  });

  it("gives up in time, says why, and goes on from there on the next tick", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    const storm = world.azure.faults.inject({
      operation: "containerApps.update",
      kind: "answer",
      status: 429,
    });
    const startedAt = world.clock.now();
    const report = await world.reconcile(consumer, wanted, world.context(undefined, minutes));
    assert.deepEqual(
      [report.state, report.error?.code, report.behind],
      ["failed", "ConsumerThrottled", ["database-uri"]],
    );
    assert.equal(report.error?.stage, "propagate");
    assert.ok(world.clock.now() - startedAt <= minutes);
    assert.ok(storm.applied > 3 && storm.applied < 12, `${storm.applied} tries`);
    storm.remove();
    assert.equal((await world.reconcile(consumer, wanted)).state, "current");
  });

  it("reports an update that takes longer than the run, and does not send it again", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    app.updates = { ...app.updates, durationMs: 4 * minutes };
    const report = await world.reconcile(consumer, wanted, world.context(undefined, minutes));
    assert.deepEqual(
      [report.state, report.error?.code, report.updated],
      ["failed", "ConsumerUpdateUnfinished", 1],
    );
    assert.equal((await world.inspect(consumer, wanted)).state, "restarting");
    world.clock.set(world.clock.now() + 5 * minutes);
    const next = await world.reconcile(consumer, wanted);
    assert.deepEqual([next.state, next.updated, next.restarted], ["current", 0, true]);
    assert.equal(count("update"), 1);
  });

  it("does not take an update that failed for done, although its tags are there", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    app.updates = { ...app.updates, outcome: "fails" };
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual([report.state, report.error?.code], ["failed", "ConsumerUpdateFailed"]);
    assert.ok("token-rotator.database-uri" in app.tags);
    assert.deepEqual(await world.inspect(consumer, wanted), { state: "behind", behind: ["database-uri"] });
    assert.equal(app.restarts, 0);
    app.updates = { ...app.updates, outcome: "succeeds" };
    assert.equal((await world.reconcile(consumer, wanted)).state, "current");
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
  });

  it("leaves alone what somebody else keeps busy, when nothing is behind", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    await world.reconcile(consumer, wanted);
    app.occupy(20 * minutes);
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual([report.state, report.restarted, report.updated], ["restarting", false, 0]);
  });

  it("refuses to write where it could not keep another secret, or has no room for its tags", async () => {
    const full = world.addApp({
      tags: Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`tag-${index}`, ""])),
    });
    const report = await world.reconcile(await world.consumer(full), [world.rotate("database-uri", "new")]);
    assert.deepEqual([report.state, report.error?.code], ["failed", "ConsumerTagsFull"]);
    const app = world.addApp();
    world.azure.faults.inject({
      operation: "containerApps.listSecrets",
      kind: "answer",
      status: 200,
      body: {
        value: ["database-uri", "api-key", "registry-password", "by-reference"].map((name) => ({ name })),
      },
    });
    const unreadable = await world.reconcile(await world.consumer(app), [
      world.rotate("database-uri", "new"),
    ]);
    assert.equal(unreadable.error?.code, "ConsumerSecretUnreadable");
    assert.equal(unreadable.error?.facts.secret, "api-key");
    assert.equal(count("update"), 0);
  });

  it("leaves an update alone that another process has made meanwhile", async () => {
    const app = world.addApp();
    const [ours, theirs] = [await world.consumer(app), await world.consumer(app)];
    const wanted = world.rotate("database-uri", "postgres://new");
    const load = async () => {
      await theirs.reconcile([wanted], world.context());
      return wanted.load(world.context());
    };
    const report = await world.reconcile(ours, [{ ...wanted, load }]);
    assert.deepEqual([report.state, report.updated, report.restarted], ["current", 0, false]);
    assert.deepEqual([count("update"), app.restarts], [1, 1]);
  });

  it("is not taken in by a read that is behind the write", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const listed = app.secrets.configured.map((secret) =>
      "value" in secret ? { name: secret.name, value: secret.value.reveal() } : secret,
    );
    afterCall("update", () => {
      world.azure.faults.inject({
        operation: "containerApps.listSecrets",
        kind: "answer",
        status: 200,
        body: { value: listed },
        times: 1,
      });
    });
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.error, count("update")], ["current", undefined, 1]);
  });

  it("tells of every kind of failure where there are several", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app, [
      { secret: "database-uri" },
      { secret: "a" },
      { secret: "b" },
    ]);
    const broken = { ...world.rotate("database-uri", "x"), load: () => Promise.reject(new Error("vault")) };
    const wanted = [world.rotate("a", "1"), world.rotate("b", "2"), broken];
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual(
      [report.error?.code, report.facts],
      ["ConsumerSecretMissing", { alsoFailed: "ConsumerSecretMissing,Unexpected" }],
    );
  });

  describe("what an operator got wrong", () => {
    it("a secret that the app does not have is named, and the others are served", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [{ secret: "database-uri" }, { secret: "databse-uri" }]);
      const wanted = [world.rotate("database-uri", "postgres://new"), world.rotate("databse-uri", "x")];
      const report = await world.reconcile(consumer, wanted);
      assert.deepEqual(
        [report.state, report.error?.code, report.behind],
        ["failed", "ConsumerSecretMissing", ["databse-uri"]],
      );
      assert.equal(report.error?.facts.secret, "databse-uri");
      assert.deepEqual([report.updated, report.restarted], [1, true]);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
      assert.equal("databse-uri" in secretsOf(app), false);
      const inspected = await world.inspect(consumer, wanted);
      assert.deepEqual([inspected.state, inspected.error?.code], ["failed", "ConsumerSecretMissing"]);
    });

    it("two outputs that feed one secret do not undo each other", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [
        { secret: "database-uri", output: "one" },
        { secret: "database-uri", output: "two" },
        { secret: "api-key" },
      ]);
      const one = { ...world.rotate("database-uri", "1"), output: "one" };
      const two = { ...world.rotate("database-uri", "2"), output: "two" };
      const wanted = [one, two, world.rotate("api-key", "new-key")];
      const report = await world.reconcile(consumer, wanted);
      assert.equal(report.error?.code, "ConsumerSecretFedTwice");
      await world.reconcile(consumer, wanted);
      assert.deepEqual(
        [secretsOf(app)["database-uri"], secretsOf(app)["api-key"]],
        ["postgres://old", "new-key"],
      );
      assert.equal(count("update"), 1);
    });

    it("an app that does not exist", async () => {
      const consumer = await world.consumer({ id: world.appId() });
      const wanted = [world.rotate("database-uri", "new")];
      const report = await world.reconcile(consumer, wanted);
      assert.deepEqual(
        [report.state, report.error?.code, report.error?.retryable],
        ["failed", "ConsumerNotFound", false],
      );
      assert.equal(report.error?.facts.resource, consumer.target);
      assert.equal((await world.inspect(consumer, wanted)).state, "unknown");
      assert.equal(count("get"), 2);
    });

    it("a secret that is removed while the run is under way", async () => {
      const app = world.addApp({ template: {} });
      const consumer = await world.consumer(app);
      const load = async () => {
        app.patch({ properties: { configuration: { secrets: [{ name: "api-key", value: "k" }] } } }, atOnce);
        return wanted.load(world.context());
      };
      const wanted = world.rotate("database-uri", "postgres://new");
      const report = await world.reconcile(consumer, [{ ...wanted, load }]);
      assert.deepEqual([report.state, report.error?.code], ["failed", "ConsumerSecretMissing"]);
      assert.deepEqual([secretsOf(app), app.tags], [{ "api-key": "k" }, { team: "data" }]);
    });

    it("a secret that could not be loaded is behind, and the others are served", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app);
      const broken = { ...world.rotate("api-key", "x"), load: () => Promise.reject(new Error("vault")) };
      const report = await world.reconcile(consumer, [
        world.rotate("database-uri", "postgres://new"),
        broken,
      ]);
      assert.deepEqual([report.state, report.updated, report.behind], ["failed", 1, ["api-key"]]);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    });

    const roleActions = [
      "read",
      "listSecrets/action",
      "write",
      "revisions/read",
      "revisions/replicas/read",
      "revisions/restart/action",
    ].map((verb) => `Microsoft.App/containerApps/${verb}`);
    const join = "Microsoft.App/managedEnvironments/join/action";
    const environment = (app: EmbeddedContainerApp) => app.environmentId;

    function grant(app: EmbeddedContainerApp, actions: readonly string[]): void {
      const { objectId: principalId } = firstIdentity(world.azure);
      world.arm.settings.assignments = [
        { principalId, scope: app.id, actions },
        { principalId, scope: environment(app), actions },
      ];
    }

    it("nothing more than the documented role is needed", async () => {
      const app = world.addApp();
      grant(app, roleActions);
      const report = await world.reconcile(await world.consumer(app), [world.rotate("database-uri", "new")]);
      assert.deepEqual([report.state, report.restarted], ["current", true]);
      const used = new Set(world.azure.requests.all.map(({ action }) => action));
      assert.deepEqual([...used].toSorted(), roleActions.toSorted());
    });

    for (const missing of [...roleActions, join]) {
      it(`a role without ${missing}: named, with its scope`, async () => {
        const app = world.addApp();
        world.arm.settings.linkedChecks = "always";
        grant(
          app,
          [...roleActions, join].filter((action) => action !== missing),
        );
        const consumer = await world.consumer(app);
        const wanted = [world.rotate("database-uri", "new")];
        const report = await world.reconcile(consumer, wanted);
        assert.deepEqual([report.state, report.error?.code], ["failed", "ConsumerForbidden"]);
        const scope = missing === join ? environment(app) : app.id;
        assert.deepEqual([report.error?.facts.action, report.error?.facts.scope], [missing, scope]);
        grant(app, [...roleActions, join]);
        const next = await world.reconcile(consumer, wanted);
        assert.deepEqual([next.state, app.restarts], ["current", 1]);
      });
    }

    it("a token that the resource manager does not take", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app);
      world.azure.faults.inject({ operation: "containerApps.*", kind: "answer", status: 401 });
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "new")]);
      assert.equal(report.error?.code, "ConsumerUnauthenticated");
    });
  });

  it("tells a resource manager that is not there from one that does not make sense", async () => {
    const app = world.addApp();
    const wanted = [world.rotate("database-uri", "new")];
    const brief = () => world.context(undefined, 5_000);
    const consumer = await world.consumer(app);
    world.azure.faults.inject({ operation: "containerApps.get", kind: "reset" });
    assert.equal((await world.reconcile(consumer, wanted, brief())).error?.code, "ConsumerUnavailable");
    for (const operation of ["get", "listSecrets", "listRevisions", "listReplicas"]) {
      world.reset();
      const page = world.azure.faults.inject({
        operation: `containerApps.${operation}`,
        kind: "answer",
        status: 200,
        body: "<html>",
      });
      const report = await world.reconcile(consumer, wanted, brief());
      assert.equal(report.error?.code, "ConsumerAnswerUnreadable", operation);
      page.remove();
    }
    assert.equal((await world.reconcile(consumer, wanted)).state, "current");
  });
});
