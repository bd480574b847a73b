import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { inspect } from "node:util";
import * as z from "zod";
import { containerApp } from "../../src/consumers/containerApp.ts";
import { group, minutes, readerIdentity, secretsOf, variable, World } from "./support.ts";

describe("the consumer container-app", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  it("brings two rotations to one app with one update and one restart, and does nothing on the next tick", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const others = secretsOf(app);
    const wanted = [world.rotate("database-uri", "postgres://new"), world.rotate("api-key", "new-key")];
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://old"]);
    assert.deepEqual(await world.inspect(consumer, wanted), {
      state: "behind",
      behind: ["database-uri", "api-key"],
    });
    world.operations();

    const report = await world.reconcile(consumer, wanted);

    assert.deepEqual(report, { state: "current", behind: [], updated: 2, restarted: true });
    const operations = world.operations();
    assert.equal(operations.filter((name) => name === "update").length, 1);
    assert.equal(operations.filter((name) => name === "restartRevision").length, 1);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    assert.deepEqual(variable(app, "API_KEY"), ["new-key"]);
    assert.deepEqual(variable(app, "MODE"), ["production"]);
    assert.deepEqual(secretsOf(app), { ...others, "database-uri": "postgres://new", "api-key": "new-key" });

    world.clock.set(world.clock.now() + 5 * minutes);
    const next = await world.reconcile(consumer, wanted);
    assert.deepEqual(next, { state: "current", behind: [], updated: 0, restarted: false });
    assert.deepEqual(world.operations(), ["get", "listRevisions", "listReplicas"]);
    assert.equal((await world.inspect(consumer, wanted)).state, "current");
  });

  it("sends nothing but the secrets and its tags, and keeps every other tag", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const before = { configuration: app.configuration, template: app.template };
    const wanted = world.rotate("database-uri", "postgres://new");
    app.updates = { ...app.updates, tags: "replace" };
    const startedAt = world.clock.now();
    await world.reconcile(consumer, [wanted]);
    assert.deepEqual({ configuration: app.configuration, template: app.template }, before);
    const { "token-rotator.database-uri": noted, ...others } = app.tags;
    assert.deepEqual(others, { team: "data" });
    assert.equal(noted, `${new Date(startedAt).toISOString().slice(0, 19)}Z ${wanted.operation}`);
  });

  it("loads and changes only what is behind", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const database = world.rotate("database-uri", "postgres://new");
    const key = world.rotate("api-key", "new-key");
    await world.reconcile(consumer, [database, key]);
    const untouched = { ...key, load: () => assert.fail("nothing asked for it") };
    const report = await world.reconcile(consumer, [
      world.rotate("database-uri", "postgres://newer"),
      untouched,
    ]);
    assert.deepEqual(report, { state: "current", behind: [], updated: 1, restarted: true });
    assert.equal(app.restarts, 2);
    assert.equal(secretsOf(app)["api-key"], "new-key");
  });

  it("goes by the server's clock, however wrong its own is", async () => {
    for (const skewMs of [-20 * minutes, 20 * minutes]) {
      world.reset();
      const app = world.addApp();
      const consumer = await world.consumer(app);
      world.skewAzure(skewMs);
      const wanted = [world.rotate("database-uri", "postgres://new")];
      const first = await world.reconcile(consumer, wanted);
      assert.deepEqual([first.state, first.restarted], ["current", true]);
      world.clock.set(world.clock.now() + 5 * minutes);
      const second = await world.reconcile(consumer, wanted);
      assert.deepEqual([second.state, second.restarted], ["current", false]);
      assert.equal(app.restarts, 1);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
    }
  });

  it("applies everything anew after a deployment has put the template back", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    await world.reconcile(consumer, wanted);
    app.patch(
      {
        tags: { team: "data" },
        properties: {
          configuration: {
            secrets: [
              { name: "database-uri", value: "from-the-template" },
              { name: "api-key", value: "k" },
            ],
          },
        },
      },
      { durationMs: 0, outcome: "succeeds", tags: "replace" },
    );
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual([report.state, report.updated, report.restarted], ["current", 1, true]);
    assert.deepEqual(secretsOf(app), { "database-uri": "postgres://new", "api-key": "k" });
  });

  it("lets overlapping runs take their turns", async () => {
    const app = world.addApp();
    const consumer = await world.consumer(app);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    const reports = await world.clock.run(
      Promise.all([consumer.reconcile(wanted, world.context()), consumer.reconcile(wanted, world.context())]),
    );
    assert.deepEqual(
      reports.map(({ updated, restarted }) => [updated, restarted]),
      [
        [1, true],
        [0, false],
      ],
    );
    assert.equal(world.operations().filter((name) => name === "update").length, 1);
  });

  it("serves apps of several subscriptions and resource groups", async () => {
    const id = `/subscriptions/99999999-2222-4333-8444-555555555555/resourcegroups/elsewhere/providers/Microsoft.App/containerapps/far-away`;
    const app = world.addApp({ id: id.replace("containerapps", "containerApps") });
    const consumer = await world.consumer({ id });
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.deepEqual([report.state, report.updated], ["current", 1]);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
  });

  describe("with key-vault-reference", () => {
    const reference = {
      secret: "database-uri",
      mode: "key-vault-reference",
      identity: readerIdentity,
    } as const;

    it("points the app at the version and never sends the value", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [reference]);
      const wanted = world.rotate("database-uri", "postgres://new");
      const sent: string[] = [];
      const patch = app.patch.bind(app);
      app.patch = (body, behaviour) => {
        sent.push(JSON.stringify(body));
        return patch(body, behaviour);
      };
      const report = await world.reconcile(consumer, [wanted]);
      assert.deepEqual([report.state, report.updated, report.restarted], ["current", 1, true]);
      const version = world.azure.vault.secrets.versions("database-uri-output").at(-1);
      assert.equal(
        secretsOf(app)["database-uri"],
        `${world.azure.vault.url}/secrets/database-uri-output/${version?.id} as ${readerIdentity}`,
      );
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://new"]);
      assert.equal(sent.length, 1);
      assert.doesNotMatch(sent.join(), /postgres:\/\/new/);

      world.operations();
      assert.equal((await world.reconcile(consumer, [wanted])).state, "current");
      assert.deepEqual(world.operations(), ["get", "listRevisions", "listReplicas"]);
    });

    it("follows to the next version, and back to values when the mode changes", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [reference]);
      await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      const wanted = [world.rotate("database-uri", "postgres://newer")];
      assert.equal((await world.reconcile(consumer, wanted)).updated, 1);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://newer"]);
      const byValue = await world.consumer(app, [{ secret: "database-uri" }]);
      assert.equal((await world.reconcile(byValue, wanted)).updated, 1);
      assert.equal(secretsOf(app)["database-uri"], "postgres://newer");
    });

    it("says what to do when the app's identity may not read the vault", async () => {
      const app = world.addApp();
      const consumer = await world.consumer(app, [reference]);
      const before = secretsOf(app);
      const reads = "Microsoft.KeyVault/vaults/secrets/getSecret/action";
      world.azure.vault.assignments = [{ principalId: "app-system", actions: [reads] }];
      const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
      assert.deepEqual([report.state, report.behind], ["failed", ["database-uri"]]);
      assert.equal(report.error?.code, "ConsumerSecretInvalid");
      assert.deepEqual(secretsOf(app), before);
      assert.equal(app.restarts, 0);
    });
  });

  describe("its options", () => {
    const valid = {
      kind: "container-app",
      app: `${group}/Microsoft.App/containerApps/app`,
      secret: "database-uri",
      output: "database-uri-output",
    };

    it("have defaults that send the value and restart", () => {
      assert.deepEqual(containerApp.schema(z).parse(valid), {
        ...valid,
        mode: "value",
        restart: "revision-restart",
      });
      assert.equal(containerApp.target(containerApp.schema(z).parse(valid)), valid.app);
    });

    const mistakes: readonly [what: string, options: object, path: string, message: RegExp][] = [
      ["a name instead of an id", { app: "app" }, "app", /az containerapp show/],
      ["the id of a job", { app: `${group}/Microsoft.App/jobs/app` }, "app", /az containerapp show/],
      ["the id of a revision", { app: `${valid.app}/revisions/x` }, "app", /az containerapp show/],
      ["a secret name with capitals", { secret: "DATABASE_URI" }, "secret", /lower-case letters/],
      ["a reference without an identity", { mode: "key-vault-reference" }, "identity", /is missing/],
      ["an identity without a reference", { identity: "system" }, "identity", /is not used/],
      [
        "a client id as identity",
        { mode: "key-vault-reference", identity: "11111111-2222-4333-8444-555555555555" },
        "identity",
        /./,
      ],
      ["an unknown restart", { restart: true }, "restart", /./],
      ["an unknown option", { restrat: "none" }, "", /restrat/],
    ];
    for (const [what, options, path, message] of mistakes) {
      it(`refuse ${what}`, () => {
        const { error } = containerApp.schema(z).safeParse({ ...valid, ...options });
        const [issue] = error?.issues ?? [];
        assert.equal(issue?.path.join("."), path);
        assert.match(issue?.message ?? "", message);
      });
    }

    it("take resource ids in any case, as the resource manager answers them", () => {
      const app = valid.app
        .replace("resourceGroups", "resourcegroups")
        .replace("containerApps", "containerapps");
      assert.equal(containerApp.schema(z).safeParse({ ...valid, app }).success, true);
    });
  });

  it("lets no secret into a report or an error", async () => {
    const app = world.addApp({ secrets: [{ name: "database-uri", value: "canary-old" }], template: {} });
    const consumer = await world.consumer(app, [{ secret: "database-uri" }, { secret: "missing" }]);
    const wanted = [world.rotate("database-uri", "canary-new"), world.rotate("missing", "canary-missing")];
    const echo = { error: { code: "BadRequest", message: "canary-old canary-new" } };
    world.azure.faults.inject({
      operation: "containerApps.update",
      kind: "answer",
      status: 400,
      body: echo,
    });
    const report = await world.reconcile(consumer, wanted);
    assert.equal(report.state, "failed");
    const shown = inspect(report, { depth: 9 }) + JSON.stringify(report) + report.error?.summary;
    assert.doesNotMatch(shown, /canary/);
  });
});
