import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import * as z from "zod";
import { containerAppJob } from "../../src/consumers/containerAppJob.ts";
import type { EmbeddedJob } from "../../src/local/embeddedJob.ts";
import { firstIdentity } from "../local/support.ts";
import { group, minutes, readerIdentity, secretsOf, World } from "./support.ts";

describe("the consumer container-app-job", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  function addJob(): EmbeddedJob {
    return world.arm.addJob({
      id: world.jobId(),
      secrets: [
        { name: "database-uri", value: "postgres://old" },
        { name: "other", value: "theirs" },
      ],
      identities: [{ id: readerIdentity, objectId: "reader" }],
      configuration: {
        triggerType: "Schedule",
        replicaTimeout: 60,
        scheduleTriggerConfig: { cronExpression: "0 * * * *" },
      },
      template: { containers: [{ name: "job", env: [{ name: "DATABASE_URI", secretRef: "database-uri" }] }] },
    });
  }

  const uri = (job: EmbeddedJob) => {
    const value = job.startExecution().get("DATABASE_URI");
    return typeof value === "string" ? value : value?.reveal();
  };

  it("updates the secret, and nothing else: the next execution has it", async () => {
    const job = addJob();
    const { configuration, template } = job;
    const consumer = await world.job(job.id, ["database-uri"]);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    assert.deepEqual(await world.inspect(consumer, wanted), { state: "behind", behind: ["database-uri"] });
    world.operations();
    const report = await world.reconcile(consumer, wanted);
    assert.deepEqual(report, { state: "current", behind: [], updated: 1, restarted: false });
    assert.deepEqual(world.operations(), [
      "getJob",
      "listJobSecrets",
      "getJob",
      "updateJob",
      "getJob",
      "listJobSecrets",
    ]);
    assert.deepEqual(secretsOf(job), { "database-uri": "postgres://new", other: "theirs" });
    assert.deepEqual([job.configuration, job.template], [configuration, template]);
    assert.equal(uri(job), "postgres://new");

    world.clock.set(world.clock.now() + 5 * minutes);
    assert.equal((await world.reconcile(consumer, wanted)).updated, 0);
    assert.deepEqual(world.operations(), ["getJob"]);
    assert.deepEqual(await world.inspect(consumer, wanted), { state: "current", behind: [] });
  });

  it("points it at the vault with key-vault-reference", async () => {
    const job = addJob();
    const options = containerAppJob.schema(z).parse({
      kind: "container-app-job",
      job: job.id,
      secret: "database-uri",
      output: "database-uri-output",
      mode: "key-vault-reference",
      identity: readerIdentity,
    });
    const consumer = await containerAppJob.create([options], world.environment());
    const report = await world.reconcile(consumer, [world.rotate("database-uri", "postgres://new")]);
    assert.equal(report.state, "current");
    assert.match(
      secretsOf(job)["database-uri"] ?? "",
      /\/secrets\/database-uri-output\/[0-9a-f]{32} as .*reader$/,
    );
    assert.equal(uri(job), "postgres://new");
  });

  it("needs three actions and the environment's, and names the one that is missing", async () => {
    const job = addJob();
    const { objectId: principalId } = firstIdentity(world.azure);
    const needed = ["read", "listSecrets/action", "write"].map((verb) => `Microsoft.App/jobs/${verb}`);
    const consumer = await world.job(job.id, ["database-uri"]);
    const wanted = [world.rotate("database-uri", "postgres://new")];
    const environment = {
      principalId,
      scope: job.environmentId,
      actions: ["Microsoft.App/managedEnvironments/join/action"],
    };
    for (const missing of needed) {
      const actions = needed.filter((action) => action !== missing);
      world.arm.settings.assignments = [environment, { principalId, scope: job.id, actions }];
      const report = await world.reconcile(consumer, wanted);
      assert.deepEqual([report.error?.code, report.error?.facts.action], ["ConsumerForbidden", missing]);
    }
    world.arm.settings.assignments = [environment, { principalId, scope: job.id, actions: needed }];
    assert.equal((await world.reconcile(consumer, wanted)).state, "current");
  });

  it("names a job or a secret that does not exist", async () => {
    const job = addJob();
    const missing = await world.job(job.id, ["missing"]);
    const report = await world.reconcile(missing, [world.rotate("missing", "x")]);
    assert.deepEqual(
      [report.state, report.error?.code, report.behind],
      ["failed", "ConsumerSecretMissing", ["missing"]],
    );
    const nowhere = await world.job(world.jobId(), ["database-uri"]);
    const wanted = [world.rotate("database-uri", "x")];
    assert.equal((await world.reconcile(nowhere, wanted)).error?.code, "ConsumerNotFound");
    assert.equal((await world.inspect(nowhere, wanted)).state, "unknown");
  });

  it("refuses the options of an app", () => {
    const valid = {
      kind: "container-app-job",
      job: `${group}/Microsoft.App/jobs/job`,
      secret: "a",
      output: "b",
    };
    assert.equal(containerAppJob.schema(z).safeParse(valid).success, true);
    assert.equal(containerAppJob.schema(z).safeParse({ ...valid, restart: "none" }).success, false);
    const app = { ...valid, job: `${group}/Microsoft.App/containerApps/app` };
    assert.match(
      containerAppJob.schema(z).safeParse(app).error?.issues[0]?.message ?? "",
      /az containerapp job show/,
    );
  });
});
