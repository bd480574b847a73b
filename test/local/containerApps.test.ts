import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { ContainerAppsAPIClient } from "@azure/arm-appcontainers";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import { Refusal } from "../../src/local/service.ts";
import { group, minutes, secretsOf, subscription, variable, World } from "../consumers/support.ts";
import { credential, firstIdentity } from "./support.ts";

describe("the embedded Container Apps", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => world.reset());

  async function bearer(resource = "https://management.azure.com"): Promise<string> {
    const token = await world.azure.issuer.issue(
      firstIdentity(world.azure),
      resource,
      3600,
      world.clock.now(),
    );
    return `Bearer ${token.value.reveal()}`;
  }

  async function call(
    method: string,
    path: string,
    options: { body?: unknown; authorization?: string; version?: string } = {},
  ) {
    const version = options.version ?? "?api-version=2026-07-01";
    const response = await fetch(path.startsWith("https:") ? path : `${world.arm.url}${path}${version}`, {
      method,
      headers: {
        "content-type": "application/json",
        authorization: options.authorization ?? (await bearer()),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    const body = text === "" ? undefined : JSON.parse(text);
    return { status: response.status, headers: response.headers, body, code: body?.error?.code, text };
  }

  const secretsPatch = (secrets: unknown) => ({ properties: { configuration: { secrets } } });

  describe("lets nobody in", () => {
    it("without a token, and says where to get one", async () => {
      const app = world.addApp();
      const answer = await call("GET", app.id, { authorization: "" });
      assert.deepEqual([answer.status, answer.code], [401, "AuthenticationFailed"]);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer authorization_uri="https:/);
      assert.equal(world.azure.requests.count("containerApps.challenge"), 1);
    });

    it("with a token for something else, or one that has expired", async () => {
      const app = world.addApp();
      const forVault = await bearer("https://vault.azure.net");
      assert.equal(
        (await call("GET", app.id, { authorization: forVault })).code,
        "InvalidAuthenticationTokenAudience",
      );
      const old = await bearer();
      world.clock.set(world.clock.now() + 61 * minutes);
      assert.equal((await call("GET", app.id, { authorization: old })).code, "ExpiredAuthenticationToken");
    });

    it("to what a role does not allow, before it says whether that exists", async () => {
      const app = world.addApp();
      const { objectId: principalId, clientId } = firstIdentity(world.azure);
      const read = "Microsoft.App/containerApps/read";
      world.arm.settings.assignments = [{ principalId, scope: app.id.toUpperCase(), actions: [read] }];
      assert.equal((await call("GET", app.id)).status, 200);
      const listing = await call("POST", `${app.id}/listSecrets`);
      assert.deepEqual([listing.status, listing.code], [403, "AuthorizationFailed"]);
      assert.equal(
        listing.body.error.message,
        `The client '${clientId}' with object id '${principalId}' does not have authorization to perform action 'Microsoft.App/containerApps/listSecrets/action' over scope '${app.id}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
      );
      assert.equal((await call("GET", world.appId())).status, 403);
    });

    it("to write without the environment's permission, nor to name an identity without its own", async () => {
      const app = world.addApp();
      world.arm.settings.linkedChecks = "always";
      const { objectId: principalId } = firstIdentity(world.azure);
      const write = { principalId, scope: app.id, actions: ["*"] };
      world.arm.settings.assignments = [write];
      const linked = await call("PATCH", app.id, { body: { tags: { a: "b" } } });
      assert.deepEqual([linked.status, linked.code], [403, "LinkedAuthorizationFailed"]);
      assert.match(linked.body.error.message, /managedEnvironments\/join\/action/);
      world.arm.settings.assignments = [write, { principalId, scope: app.environmentId, actions: ["*"] }];
      assert.equal((await call("PATCH", app.id, { body: { tags: { a: "b" } } })).status, 202);
      await world.clock.advance(2_000);
      const identity = app.identities.find(({ id }) => id !== "system")?.id;
      const secrets = [{ name: "database-uri", keyVaultUrl: world.reference("x"), identity }];
      const assigning = await call("PATCH", app.id, { body: secretsPatch(secrets) });
      assert.match(assigning.body.error.message, /userAssignedIdentities\/assign\/action/);
      assert.equal("a" in app.tags, true);
    });
  });

  it("asks by default only for the permission of what a request names", async () => {
    const app = world.addApp();
    const { objectId: principalId } = firstIdentity(world.azure);
    world.arm.settings.assignments = [
      { principalId, scope: app.id, actions: ["Microsoft.App/containerApps/write"] },
    ];
    const patch = async (body: object) => {
      const { status } = await call("PATCH", app.id, { body });
      await world.clock.advance(2_000);
      return status;
    };
    assert.equal(await patch({ tags: { a: "b" } }), 202);
    assert.equal(await patch({ properties: { environmentId: app.environmentId } }), 403);
    assert.equal(await patch({ identity: { userAssignedIdentities: { [app.environmentId]: {} } } }), 403);
  });

  it("asks for a version of the API, and answers 404 for what is not there", async () => {
    const app = world.addApp();
    assert.equal((await call("GET", app.id, { version: "" })).code, "MissingApiVersionParameter");
    const missing = await call("GET", world.appId());
    assert.deepEqual([missing.status, missing.code], [404, "ResourceNotFound"]);
    const revision = await call("POST", `${app.id}/revisions/none/restart`);
    assert.deepEqual([revision.status, revision.code], [404, "RevisionNotFound"]);
    world.arm.remove(app.id);
    assert.equal((await call("GET", app.id)).status, 404);
  });

  it("shows values in the answer of listSecrets and nowhere else", async () => {
    const app = world.addApp();
    const got = await call("GET", app.id);
    assert.deepEqual(
      got.body.properties.configuration.secrets.map(({ name }: { name: string }) => name),
      ["database-uri", "api-key", "registry-password", "by-reference"],
    );
    const [revision] = app.revisions;
    const others = await Promise.all([
      call("GET", `${app.id}/revisions`),
      call("GET", `${app.id}/revisions/${revision?.name}`),
      call("GET", `${app.id}/revisions/${revision?.name}/replicas`),
    ]);
    for (const { status, text } of [got, ...others]) {
      assert.equal(status, 200);
      assert.doesNotMatch(text, /postgres:\/\/old|old-key|wörd/);
    }
    const listed = await call("POST", `${app.id}/listSecrets`);
    assert.deepEqual(listed.body.value[0], { name: "database-uri", value: "postgres://old" });
    assert.deepEqual(Object.keys(listed.body.value[3]), ["name", "keyVaultUrl", "identity"]);
  });

  describe("an update", () => {
    it("is accepted, goes on for a while, and is done when its result says so", async () => {
      const app = world.addApp();
      app.updates = { durationMs: 5_000, retryAfterSeconds: 3, outcome: "succeeds", tags: "merge" };
      const accepted = await call("PATCH", app.id, { body: { tags: { added: "x", team: null } } });
      assert.deepEqual([accepted.status, accepted.headers.get("retry-after")], [202, "3"]);
      const location = accepted.headers.get("location") ?? "";
      assert.equal((await call("GET", location)).status, 202);
      assert.equal((await call("GET", app.id)).body.properties.provisioningState, "InProgress");
      const overlapping = await call("PATCH", app.id, { body: {} });
      assert.deepEqual([overlapping.status, overlapping.code], [409, "ContainerAppOperationInProgress"]);
      await world.clock.advance(5_000);
      const done = await call("GET", location);
      assert.deepEqual([done.status, done.body.properties.provisioningState], [200, "Succeeded"]);
      assert.deepEqual(done.body.tags, { added: "x" });
    });

    it("that fails says so in its result, and gives containers nothing new", async () => {
      const app = world.addApp();
      app.updates = { ...app.updates, outcome: "fails" };
      const body = secretsPatch([
        { name: "database-uri", value: "new" },
        { name: "api-key", value: "k" },
      ]);
      const accepted = await call("PATCH", app.id, { body });
      await world.clock.advance(1_000);
      assert.equal(
        (await call("GET", accepted.headers.get("location") ?? "")).code,
        "ContainerAppOperationError",
      );
      assert.equal((await call("GET", app.id)).body.properties.provisioningState, "Failed");
      app.scale(2);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://old", "postgres://old"]);
    });

    it("replaces secrets as a whole and merges the rest", async () => {
      const app = world.addApp();
      const body = {
        properties: {
          configuration: {
            secrets: [
              { name: "api-key", value: "k" },
              { name: "database-uri", value: "new" },
            ],
            ingress: { targetPort: 8080 },
          },
        },
      };
      await call("PATCH", app.id, { body });
      assert.deepEqual(secretsOf(app), { "api-key": "k", "database-uri": "new" });
      assert.deepEqual(app.configuration.ingress, { external: true, targetPort: 8080 });
      assert.equal(app.revisions.length, 1);
    });

    it("leaves secrets alone that it does not name, and can be taken by the real client as a whole", async () => {
      const app = world.addApp();
      app.updates = { ...app.updates, durationMs: 0 };
      const before = secretsOf(app);
      const client = new ContainerAppsAPIClient(credential(world.azure), subscription, {
        endpoint: world.arm.url,
      });
      const updated = await client.containerApps.update("rg-app", app.name, {
        location: "westeurope",
        tags: { one: "1" },
      });
      assert.deepEqual(updated.tags, { team: "data", one: "1" });
      assert.deepEqual(secretsOf(app), before);
      app.updates = { ...app.updates, tags: "replace" };
      await client.containerApps.update("rg-app", app.name, { location: "westeurope", tags: { two: "2" } });
      assert.deepEqual(app.tags, { two: "2" });
    });

    const value = { name: "database-uri", value: "v" };
    const key = { name: "api-key", value: "k" };
    const refused: readonly [what: string, secrets: unknown, code: string, message: RegExp][] = [
      [
        "no value",
        [{ name: "database-uri" }, key],
        "ContainerAppSecretInvalid",
        /'database-uri' are invalid: value or keyVaultUrl/,
      ],
      [
        "a reference without an identity",
        [{ name: "a", keyVaultUrl: "https://x" }],
        "ContainerAppSecretInvalid",
        /'a'/,
      ],
      ["a name twice", [value, value, key], "ContainerAppSecretInvalid", /duplicated/],
      [
        "a name with capitals",
        [{ name: "Key", value: "v" }],
        "ContainerAppSecretInvalid",
        /Invalid secret name/,
      ],
      [
        "one left out that a container refers to",
        [value],
        "ContainerAppSecretRefNotFound",
        /SecretRef 'api-key' defined for container 'server'/,
      ],
      [
        "a reference to a vault that is not there",
        [
          value,
          key,
          { name: "a", keyVaultUrl: "https://elsewhere.example.org/secrets/a", identity: "system" },
        ],
        "ContainerAppSecretInvalid",
        /Unable to get value using Managed identity system/,
      ],
      ["what is no list", "secrets", "InvalidRequestContent", /./],
    ];
    for (const [what, secrets, code, message] of refused) {
      it(`is refused with ${what}, and nothing changes`, async () => {
        const app = world.addApp();
        const before = secretsOf(app);
        const answer = await call("PATCH", app.id, {
          body: { ...secretsPatch(secrets), tags: { changed: "" } },
        });
        assert.deepEqual([answer.status, answer.code], [400, code]);
        assert.match(answer.body.error.message, message);
        assert.deepEqual([secretsOf(app), app.tags, app.busy], [before, { team: "data" }, false]);
      });
    }

    it("is refused with tags over the limits", async () => {
      const app = world.addApp();
      const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`tag-${index}`, ""]));
      for (const tags of [many, { "a/b": "" }, { a: "x".repeat(257) }, { TEAM: "twice" }]) {
        assert.equal((await call("PATCH", app.id, { body: { tags } })).status, 400);
      }
      assert.equal(
        (await call("PATCH", app.id, { body: { tags: { ["a".repeat(512)]: "x".repeat(256) } } })).status,
        202,
      );
    });
  });

  describe("a restart", () => {
    const restart = (app: EmbeddedContainerApp) =>
      call("POST", `${app.id}/revisions/${app.latestRevision.name}/restart`);
    const replicas = async (app: EmbeddedContainerApp) =>
      (await call("GET", `${app.id}/revisions/${app.latestRevision.name}/replicas`)).body.value;

    it("brings new replicas, and takes the old ones away when those are ready", async () => {
      const app = world.addApp({ replicas: 2 });
      app.replicaBehaviour = { readyMs: 4_000, drainMs: 1_000, outcome: "ready" };
      const before = await replicas(app);
      assert.equal((await restart(app)).status, 200);
      const during = await replicas(app);
      assert.equal(during.length, 4);
      assert.deepEqual(during.slice(0, 2), before);
      const { createdTime, runningState, containers } = during[2].properties;
      assert.equal(Date.parse(createdTime), world.clock.now());
      assert.deepEqual([runningState, containers[0].ready], ["NotRunning", false]);
      await world.clock.advance(5_000);
      const end = await replicas(app);
      assert.deepEqual(
        end.map(({ name }: { name: string }) => name),
        during.slice(2).map(({ name }: { name: string }) => name),
      );
      assert.equal(end[0].properties.runningState, "Running");
    });

    it("can be accepted and come to nothing, or bring replicas that do not start", async () => {
      const app = world.addApp();
      app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "hangs" };
      assert.equal((await restart(app)).status, 200);
      assert.equal((await replicas(app)).length, 1);
      app.replicaBehaviour = { ...app.replicaBehaviour, outcome: "crashes" };
      await restart(app);
      world.clock.set(world.clock.now() + 30 * minutes);
      assert.deepEqual(
        (await replicas(app)).map(
          ({ properties }: { properties: { runningState: string } }) => properties.runningState,
        ),
        ["Running", "NotRunning"],
      );
      assert.equal(app.restarts, 2);
    });

    it("is refused while an update goes on, and for a revision that is not active", async () => {
      const app = world.addApp();
      app.occupy(5_000);
      assert.equal((await restart(app)).status, 409);
      await world.clock.advance(5_000);
      app.latestRevision.active = false;
      assert.equal((await restart(app)).code, "RevisionInactive");
    });

    it("is what gives containers a new value: an update alone does not", async () => {
      const app = world.addApp();
      await call("PATCH", app.id, {
        body: secretsPatch([
          { name: "database-uri", value: "new" },
          { name: "api-key", value: "k" },
        ]),
      });
      app.scale(2);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://old", "postgres://old"]);
      await world.clock.advance(1_000);
      app.scale(3);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["postgres://old", "postgres://old", "new"]);
      await restart(app);
      await world.clock.advance(2_000);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["new", "new", "new"]);
    });
  });

  describe("a change of the template", () => {
    const suffixed = (revisionSuffix: string) => ({ properties: { template: { revisionSuffix } } });

    it("makes a revision that takes over when it is ready", async () => {
      const app = world.addApp({ replicas: 2 });
      await call("PATCH", app.id, { body: suffixed("two") });
      await world.clock.advance(1_000);
      const during = await call("GET", `${app.id}/revisions`);
      assert.deepEqual(
        during.body.value.map(({ properties }: { properties: { active: boolean } }) => properties.active),
        [true, true],
      );
      await world.clock.advance(2_000);
      const got = await call("GET", app.id);
      assert.equal(got.body.properties.latestReadyRevisionName, `${app.name}--two`);
      const end = await call("GET", `${app.id}/revisions`);
      assert.deepEqual(
        end.body.value
          .map(({ properties }: { properties: object }) => properties)
          .map(({ active, replicas }: { active: boolean; replicas: number }) => [active, replicas]),
        [
          [false, 0],
          [true, 2],
        ],
      );
      assert.equal((await call("PATCH", app.id, { body: suffixed("two") })).status, 202);
      await world.clock.advance(1_000);
      assert.equal(app.revisions.length, 2);
      await call("PATCH", app.id, { body: suffixed("three") });
      await world.clock.advance(5_000);
      assert.equal(
        (await call("PATCH", app.id, { body: suffixed("two") })).code,
        "RevisionSuffixAlreadyExists",
      );
    });

    it("leaves the others active in multiple mode", async () => {
      const app = world.addApp({ activeRevisionsMode: "Multiple" });
      await call("PATCH", app.id, { body: suffixed("two") });
      await world.clock.advance(10_000);
      assert.deepEqual(
        app.revisions.map(({ active, replicas }) => [active, replicas.length]),
        [
          [true, 1],
          [true, 1],
        ],
      );
    });
  });

  it("scales to zero and from zero, and a new container is given what is in force then", async () => {
    const app = world.addApp();
    app.scale(0);
    assert.deepEqual(app.containers(), []);
    await call("PATCH", app.id, {
      body: secretsPatch([
        { name: "database-uri", value: "new" },
        { name: "api-key", value: "k" },
      ]),
    });
    await world.clock.advance(1_000);
    app.scale(1);
    assert.deepEqual(variable(app, "DATABASE_URI"), ["new"]);
  });

  describe("a reference to Key Vault", () => {
    function withReference(version: "latest" | "pinned"): EmbeddedContainerApp {
      const { secrets } = world.azure.vault;
      const { id } = secrets.set("uri", "one");
      const path = version === "latest" ? "/secrets/uri" : `/secrets/uri/${id}`;
      return world.arm.addApp({
        id: world.appId(),
        identities: [{ id: "system", objectId: "app" }],
        secrets: [{ name: "database-uri", keyVaultUrl: world.azure.vault.url + path, identity: "system" }],
        template: {
          containers: [{ name: "server", env: [{ name: "DATABASE_URI", secretRef: "database-uri" }] }],
        },
      });
    }

    it("without a version is read every 30 minutes, no sooner for a restart, and then restarts the app", async () => {
      const app = withReference("latest");
      world.azure.vault.secrets.set("uri", "two");
      app.restart(app.latestRevision.name);
      await world.clock.advance(29 * minutes);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["one"]);
      await world.clock.advance(minutes + 2_000);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["two"]);
      assert.equal(app.revisions.length, 1);
      const [container] = app.containers();
      await world.clock.advance(60 * minutes);
      assert.equal(app.containers()[0]?.replica, container?.replica);
    });

    it("keeps the old value while the vault cannot be read", async () => {
      const app = withReference("latest");
      world.azure.vault.secrets.set("uri", "two");
      world.azure.vault.assignments = [];
      await world.clock.advance(31 * minutes);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["one"]);
      world.azure.vault.assignments = undefined;
      await world.clock.advance(30 * minutes);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["two"]);
    });

    it("with a version stays there", async () => {
      const app = withReference("pinned");
      world.azure.vault.secrets.set("uri", "two");
      await world.clock.advance(61 * minutes);
      assert.deepEqual(variable(app, "DATABASE_URI"), ["one"]);
    });

    it("is followed as the app's own identity only", () => {
      const add = (identity: string) =>
        world.arm.addApp({
          id: world.appId(),
          identities: [{ id: "system", objectId: "app" }],
          secrets: [{ name: "a", keyVaultUrl: world.reference("x"), identity }],
        });
      assert.doesNotThrow(() => add("system"));
      assert.throws(() => add(`${group}/Microsoft.ManagedIdentity/userAssignedIdentities/other`), Refusal);
    });
  });

  it("dates its answers and its replicas by one clock", async () => {
    const app = world.addApp();
    world.skewAzure(7 * minutes);
    const authorization = await bearer();
    const [revision] = app.revisions;
    const answer = await call("POST", `${app.id}/revisions/${revision?.name}/restart`, { authorization });
    const date = Date.parse(answer.headers.get("date") ?? "");
    assert.equal(date, world.clock.now() + 7 * minutes);
    assert.equal(revision?.replicas.at(-1)?.createdAt, date);
  });

  it("served every request without a defect", () => assert.deepEqual(world.azure.requests.defects, []));
});
