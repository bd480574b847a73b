import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { KeyVaultSecret, SecretProperties } from "@azure/keyvault-secrets";
import { type EmbeddedAzure, startEmbeddedAzure, userAssignedIdentity } from "../../src/local/azure.ts";
import { publishedVaultLimits } from "../../src/local/vaultThrottle.ts";
import { VirtualClock } from "../virtualClock.ts";
import { credential, firstIdentity, secretClient } from "./support.ts";

const actions = {
  get: "Microsoft.KeyVault/vaults/secrets/getSecret/action",
  set: "Microsoft.KeyVault/vaults/secrets/setSecret/action",
  readMetadata: "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
} as const;

describe("the embedded Key Vault, through the real client", () => {
  const clock = new VirtualClock();
  let azure: EmbeddedAzure;
  let trust: Disposable;
  let names = 0;

  before(async () => {
    azure = await startEmbeddedAzure({
      clock,
      vaults: [
        { name: "main" },
        { name: "strict", limits: publishedVaultLimits },
        { name: "slow", transitionMs: 5000 },
        { name: "empty" },
      ],
    });
    trust = azure.trustInThisProcess();
  });
  afterEach(() => {
    azure.faults.clear();
    azure.requests.clear();
    azure.vault.assignments = undefined;
    assert.deepEqual(azure.requests.defects, []);
  });
  after(async () => {
    trust[Symbol.dispose]();
    await azure.stop();
  });

  /** Secrets of one test do not meet those of another. */
  const newName = () => `secret-${++names}`;
  const vault = (name: string) => {
    const found = azure.vaults.get(name);
    assert.ok(found);
    return found;
  };

  describe("authentication", () => {
    it("challenges the first request of a client, which then sends its body with a token", async () => {
      const client = secretClient(azure);
      const name = newName();
      await client.setSecret(name, "one");
      await client.setSecret(name, "two");

      assert.equal(azure.requests.count("keyvault.challenge"), 1);
      assert.equal(azure.requests.count("keyvault.setSecret"), 2);
      assert.equal(azure.vault.secrets.versions(name).length, 2);
    });

    it("answers the challenge in the words of Key Vault", async () => {
      const response = await fetch(`${azure.vault.url}/secrets/any?api-version=7.5`);
      assert.equal(response.status, 401);
      assert.equal(
        response.headers.get("www-authenticate"),
        `Bearer authorization="${azure.issuer.url}/${azure.issuer.tenantId}", resource="https://vault.azure.net"`,
      );
      assert.deepEqual(await response.json(), {
        error: { code: "Unauthorized", message: "AKV10000: Request is missing a Bearer or PoP token." },
      });
    });

    for (const [audience, status] of [
      ["https://vault.azure.net", 404],
      ["https://vault.azure.net/", 401],
      ["https://management.azure.com", 401],
    ] as const) {
      it(`answers ${status} to a token for ${audience}`, async () => {
        const response = await get("/secrets/absent?api-version=7.5", audience);
        assert.equal(response.status, status);
      });
    }

    it("refuses a token that is over by the vault's own clock", async () => {
      azure.faults.inject({ operation: "keyvault.getSecret", kind: "clockSkew", ms: 3600_000 });
      const response = await get("/secrets/absent?api-version=7.5");
      assert.equal(response.status, 401);
      assert.match(await response.text(), /TokenExpired/);
      assert.equal(azure.requests.count("keyvault.getSecret"), 0);
    });

    it("remembers whose token it was, and no token", async () => {
      const client = secretClient(azure);
      await client.setSecret(newName(), "value-of-this-test");
      const [record] = azure.requests.of("keyvault.setSecret");
      assert.equal(record?.caller?.objectId, firstIdentity(azure).objectId);
      assert.equal(record?.action, actions.set);
      assert.equal(record?.status, 200);
      assert.doesNotMatch(
        JSON.stringify(azure.requests.all),
        /value-of-this-test|eyJ|api-version|api%2Dversion/,
      );
    });
  });

  describe("versions", () => {
    it("writes what the client sends and reads it back", async () => {
      const client = secretClient(azure);
      const name = newName();
      const expiresOn = new Date(clock.now() + 3600_000);
      const written = await client.setSecret(name, "v", {
        expiresOn,
        notBefore: new Date(clock.now()),
        contentType: "text/plain",
        tags: { rotation: "r" },
      });
      const read = await client.getSecret(name);

      for (const secret of [written, read]) {
        assert.equal(secret.value, "v");
        assert.match(secret.properties.version ?? "", /^[0-9a-f]{32}$/);
        assert.equal(secret.properties.enabled, true);
        assert.deepEqual(secret.properties.expiresOn, expiresOn);
        assert.deepEqual(secret.properties.notBefore, new Date(clock.now()));
        assert.deepEqual(secret.properties.createdOn, new Date(clock.now()));
        assert.equal(secret.properties.contentType, "text/plain");
        assert.deepEqual(secret.properties.tags, { rotation: "r" });
        assert.equal(secret.properties.recoveryLevel, "Recoverable+Purgeable");
        assert.equal(secret.properties.vaultUrl, azure.vault.url);
      }
      assert.equal(read.properties.version, written.properties.version);
    });

    it("keeps whole seconds", async () => {
      clock.set(clock.now() + 1234);
      const name = newName();
      const { properties } = await secretClient(azure).setSecret(name, "v");
      assert.equal(properties.createdOn?.getTime(), Math.floor(clock.now() / 1000) * 1000);
    });

    it("reads an old version by its id, and the newest without one", async () => {
      const client = secretClient(azure);
      const name = newName();
      const first = await client.setSecret(name, "one");
      await client.setSecret(name, "two");

      const old = await client.getSecret(name, { version: first.properties.version as string });
      assert.equal(old.value, "one");
      assert.equal((await client.getSecret(name)).value, "two");
    });

    it("reads a secret that has expired or is not valid yet: both dates are informational", async () => {
      const client = secretClient(azure);
      const name = newName();
      await client.setSecret(name, "v", {
        expiresOn: new Date(clock.now() - 3600_000),
        notBefore: new Date(clock.now() + 3600_000),
      });
      assert.equal((await client.getSecret(name)).value, "v");
    });

    it("alters attributes and tags of a version, leaves the rest, and shows no value", async () => {
      const client = secretClient(azure);
      const name = newName();
      const { properties } = await client.setSecret(name, "v", {
        contentType: "a",
        tags: { one: "1", two: "2" },
      });
      const updated = await client.updateSecretProperties(name, properties.version as string, {
        tags: { three: "3" },
      });

      assert.deepEqual(updated.tags, { three: "3" });
      assert.equal(updated.contentType, "a");
      assert.equal(updated.enabled, true);
      assert.equal("value" in updated, false);
      assert.equal(azure.vault.secrets.versions(name).length, 1);
    });

    it("alters the current version where none is named", async () => {
      const name = newName();
      azure.vault.secrets.set(name, "one");
      azure.vault.secrets.set(name, "two");
      await secretClient(azure).updateSecretProperties(name, "", { tags: { seen: "yes" } });
      assert.deepEqual(
        azure.vault.secrets.versions(name).map(({ tags }) => tags),
        [undefined, { seen: "yes" }],
      );
    });

    it("refuses to read a disabled version, and lists it", async () => {
      const client = secretClient(azure);
      const name = newName();
      const { properties } = await client.setSecret(name, "v");
      await client.updateSecretProperties(name, properties.version as string, { enabled: false });

      await assert.rejects(client.getSecret(name), {
        statusCode: 403,
        code: "Forbidden",
        message: /not allowed on a disabled secret/,
      });
      const response = await get(`/secrets/${name}?api-version=7.5`);
      assert.deepEqual(await response.json(), {
        error: {
          code: "Forbidden",
          message: "Operation get is not allowed on a disabled secret.",
          innererror: { code: "SecretDisabled" },
        },
      });
      const listed = await all(client.listPropertiesOfSecretVersions(name));
      assert.deepEqual(
        listed.map(({ enabled }) => enabled),
        [false],
      );
    });

    it("says 404 of a name and of a version that are not there", async () => {
      const client = secretClient(azure);
      const name = newName();
      azure.vault.secrets.set(name, "v");
      const absent = { statusCode: 404, code: "SecretNotFound" };
      await assert.rejects(client.getSecret("never-written"), absent);
      await assert.rejects(client.getSecret(name, { version: "0".repeat(32) }), absent);
      await assert.rejects(client.updateSecretProperties("never-written", "", {}), absent);
      await assert.rejects(all(client.listPropertiesOfSecretVersions("never-written")), absent);
    });

    it("takes one name in any case for one secret", async () => {
      const client = secretClient(azure);
      const name = newName();
      await client.setSecret(name, "one");
      await client.setSecret(name.toUpperCase(), "two");
      assert.equal((await client.getSecret(name)).value, "two");
    });
  });

  describe("listing", () => {
    it("pages by 25 with links that cannot be guessed, and shows current properties without version or value", async () => {
      const empty = vault("empty");
      for (let index = 0; index < 60; index++) {
        empty.secrets.set(`listed-${index}`, "old", { tags: { age: "old" } });
        empty.secrets.set(`listed-${index}`, "new", { tags: { age: "new" }, expires: 2_000_000_000 });
      }
      const client = secretClient(azure, { url: empty.url });
      const pages: SecretProperties[][] = [];
      for await (const page of client.listPropertiesOfSecrets().byPage()) {
        pages.push(page);
      }

      assert.deepEqual(
        pages.map((page) => page.length),
        [25, 25, 10],
      );
      const listed = pages.flat();
      assert.equal(new Set(listed.map(({ name }) => name)).size, 60);
      for (const properties of listed) {
        assert.equal(properties.version, undefined);
        assert.deepEqual(properties.tags, { age: "new" });
        assert.deepEqual(properties.expiresOn, new Date(2_000_000_000_000));
      }
      const raw = await (await get("/secrets?api-version=7.5", undefined, empty.url)).text();
      assert.doesNotMatch(raw, /"value":"/);
      assert.match(raw, /"nextLink":"https:[^"]+\$skiptoken|%24skiptoken/);
    });

    it("takes a smaller page, and refuses a larger one", async () => {
      const client = secretClient(azure, { url: vault("empty").url });
      const first = await client.listPropertiesOfSecrets().byPage({ maxPageSize: 7 }).next();
      assert.equal(first.value.length, 7);
      const response = await get("/secrets?api-version=7.5&maxresults=26", undefined, vault("empty").url);
      assert.equal(response.status, 400);
    });

    it("goes on after the last name seen when secrets come and go between two pages", async () => {
      const { url, secrets } = vault("empty");
      const pages = secretClient(azure, { url }).listPropertiesOfSecrets().byPage({ maxPageSize: 20 });
      const first = (await pages.next()).value as SecretProperties[];
      secrets.delete(first[0]?.name ?? "");
      const rest = await all(pages);
      assert.equal(new Set([...first, ...rest.flat()].map(({ name }) => name)).size, 60);
      secrets.recover(first[0]?.name ?? "");
    });

    it("lists versions by id, in an order that tells nothing of their age", async () => {
      const name = newName();
      for (let index = 0; index < 30; index++) {
        azure.vault.secrets.set(name, String(index));
      }
      const listed = await all(secretClient(azure).listPropertiesOfSecretVersions(name));
      const ids = listed.map(({ version }) => version);
      const written = azure.vault.secrets.versions(name).map(({ id }) => id);
      assert.deepEqual(ids, [...written].sort());
      assert.notDeepEqual(ids, written);
      assert.equal(azure.requests.count("keyvault.listVersions"), 2);
    });
  });

  describe("deleting", () => {
    it("keeps the name of a deleted secret, recovers it with all versions, and frees it by a purge", async () => {
      const client = secretClient(azure);
      const name = newName();
      await client.setSecret(name, "one");
      await client.setSecret(name, "two");
      const poller = await client.beginDeleteSecret(name, { intervalInMs: 1 });
      const deleted = await poller.pollUntilDone();
      assert.equal(deleted.name, name);
      assert.deepEqual(deleted.properties.deletedOn, new Date(Math.floor(clock.now() / 1000) * 1000));

      await assert.rejects(client.getSecret(name), { statusCode: 404, code: "SecretNotFound" });
      await assert.rejects(client.setSecret(name, "three"), {
        statusCode: 409,
        code: "Conflict",
        message: /deleted but recoverable/,
      });
      const names = (await all(client.listDeletedSecrets())).map((secret) => secret.name);
      assert.deepEqual(names, [name]);

      const recovery = await client.beginRecoverDeletedSecret(name, { intervalInMs: 1 });
      await recovery.pollUntilDone();
      assert.equal((await client.getSecret(name)).value, "two");
      assert.equal(azure.vault.secrets.versions(name).length, 2);

      azure.vault.secrets.delete(name);
      await client.purgeDeletedSecret(name);
      await client.setSecret(name, "anew");
      assert.equal(azure.vault.secrets.versions(name).length, 1);
    });

    it("says something else while the deletion, the recovery or the purge goes on", async () => {
      const slow = vault("slow");
      const client = secretClient(azure, { url: slow.url });
      const conflict = (message: RegExp) => ({ statusCode: 409, code: "Conflict", message });
      await client.setSecret("name", "v");
      slow.secrets.delete("name");
      await assert.rejects(client.setSecret("name", "w"), conflict(/currently being deleted/));
      await assert.rejects(client.getDeletedSecret("name"), { statusCode: 404 });
      await assert.rejects(client.purgeDeletedSecret("name"), conflict(/currently being deleted/));
      clock.set(clock.now() + 5000);
      await assert.rejects(client.setSecret("name", "w"), conflict(/deleted but recoverable/));

      slow.secrets.recover("name");
      await assert.rejects(client.setSecret("name", "w"), conflict(/currently being recovered/));
      assert.equal((await client.getSecret("name")).value, "v");
      clock.set(clock.now() + 5000);
      await client.setSecret("name", "w");

      slow.secrets.delete("name");
      clock.set(clock.now() + 5000);
      await client.purgeDeletedSecret("name");
      await assert.rejects(client.setSecret("name", "x"), conflict(/currently being deleted/));
      clock.set(clock.now() + 5000);
      await client.setSecret("name", "x");
    });

    it("tells the two conflicts apart by an inner code, which the client keeps in the error's details", async () => {
      const name = newName();
      azure.vault.secrets.set(name, "v");
      azure.vault.secrets.delete(name);
      await assert.rejects(secretClient(azure).setSecret(name, "w"), (error: { details: VaultError }) => {
        assert.equal(error.details.error.innerError.code, "ObjectIsDeletedButRecoverable");
        return true;
      });
    });
  });

  describe("limits", () => {
    for (const [what, value, options] of [
      ["a value over 25 KB", "é".repeat(12_801), {}],
      ["a content type over 255 characters", "v", { contentType: "x".repeat(256) }],
      ["16 tags", "v", { tags: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`t${i}`, ""])) }],
      ["a tag over 512 characters", "v", { tags: { name: "x".repeat(513) } }],
      [
        "an expiry after 2038, which the client writes as a negative number",
        "v",
        { expiresOn: new Date("2040-01-01") },
      ],
    ] as const) {
      it(`refuses ${what}, and writes nothing`, async () => {
        const name = newName();
        await assert.rejects(secretClient(azure).setSecret(name, value, options), {
          statusCode: 400,
          code: "BadParameter",
        });
        assert.deepEqual(azure.vault.secrets.versions(name), []);
      });
    }

    it("takes what is exactly at the limits", async () => {
      const tags = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`t${i}`, "x".repeat(512)]));
      const name = `n${"x".repeat(126)}`;
      await secretClient(azure).setSecret(name, "é".repeat(12_800), { tags, contentType: "x".repeat(255) });
      assert.equal(azure.vault.secrets.versions(name).length, 1);
    });

    for (const name of ["under_score", "dot.dot", "x".repeat(128)]) {
      it(`refuses the name ${name.slice(0, 12)}`, async () => {
        await assert.rejects(secretClient(azure).setSecret(name, "v"), {
          statusCode: 400,
          code: "BadParameter",
        });
      });
    }

    for (const query of ["", "?api-version=", "?api-version=6.9"]) {
      it(`refuses the query "${query}"`, async () => {
        const response = await get(`/secrets${query}`);
        assert.equal(response.status, 400);
      });
    }

    it("backs up 500 versions and no more", async () => {
      const name = newName();
      for (let index = 0; index < 500; index++) {
        azure.vault.secrets.set(name, "v");
      }
      const client = secretClient(azure);
      assert.ok((await client.backupSecret(name))?.byteLength);
      azure.vault.secrets.set(name, "v");
      await assert.rejects(client.backupSecret(name), { statusCode: 400 });
    });

    it("throttles the 301st create of ten seconds without Retry-After, and reads go on", async () => {
      const strict = vault("strict");
      const client = secretClient(azure, { url: strict.url });
      await Promise.all(Array.from({ length: 300 }, (_, index) => client.setSecret(`s${index % 10}`, "v")));
      await assert.rejects(client.setSecret("s0", "v"), (error: { statusCode: number; response: Answer }) => {
        assert.equal(error.statusCode, 429);
        assert.equal(error.response.headers.get("retry-after"), undefined);
        return true;
      });
      await client.getSecret("s0");
      clock.set(clock.now() + 9_999);
      await assert.rejects(client.setSecret("s0", "v"), { statusCode: 429 });
      clock.set(clock.now() + 1);
      await client.setSecret("s0", "v");
    });
  });

  describe("roles", () => {
    const other = userAssignedIdentity("other");

    it("refuses what no assignment allows, in the words of Azure RBAC", async () => {
      const { objectId, clientId } = firstIdentity(azure);
      azure.vault.assignments = [{ principalId: objectId, actions: [actions.set, actions.readMetadata] }];
      const name = newName();
      const client = secretClient(azure);
      await client.setSecret(name, "v");
      await all(client.listPropertiesOfSecrets());
      await assert.rejects(client.getSecret(name), (error: { statusCode: number; message: string }) => {
        assert.equal(error.statusCode, 403);
        assert.match(error.message, new RegExp(`appid=${clientId};oid=${objectId}`));
        assert.match(error.message, new RegExp(`Action: '${actions.get}'`));
        return true;
      });
      const body = (await (await get(`/secrets/${name}?api-version=7.5`)).json()) as {
        error: { innererror: unknown };
      };
      assert.deepEqual(body.error.innererror, { code: "ForbiddenByRbac" });
    });

    it("decides by identity, and at once when a role is withdrawn", async () => {
      const name = newName();
      azure.vault.secrets.set(name, "v");
      const client = secretClient(azure);
      azure.vault.assignments = [{ principalId: firstIdentity(azure).objectId, actions: [actions.get] }];
      assert.equal((await client.getSecret(name)).value, "v");
      await assert.rejects(secretClient(azure, { identity: other }).getSecret(name), { statusCode: 403 });
      azure.vault.assignments = [];
      await assert.rejects(client.getSecret(name), { statusCode: 403 });
    });

    it("limits an assignment to names, with case", async () => {
      azure.vault.assignments = [
        { principalId: firstIdentity(azure).objectId, actions: [actions.set], secrets: /^rot-/ },
      ];
      const client = secretClient(azure);
      await client.setSecret("rot-allowed", "v");
      await assert.rejects(client.setSecret("other", "v"), { statusCode: 403 });
      await assert.rejects(client.setSecret("ROT-allowed", "v"), { statusCode: 403 });
    });

    it("refuses to list where metadata may be read of some names only, and lists the versions of those", async () => {
      azure.vault.secrets.set("named", "v");
      azure.vault.assignments = [
        { principalId: firstIdentity(azure).objectId, actions: [actions.readMetadata], secrets: ["named"] },
      ];
      const client = secretClient(azure);
      await assert.rejects(all(client.listPropertiesOfSecrets()), { statusCode: 403 });
      assert.equal((await all(client.listPropertiesOfSecretVersions("named"))).length, 1);
    });
  });

  describe("faults", () => {
    it("loses the answer of a write: the client's own retry leaves two versions", async () => {
      const name = newName();
      const lost = azure.faults.inject({ operation: "keyvault.setSecret", kind: "lostResponse", times: 1 });
      await secretClient(azure, { retryOptions: { maxRetries: 1, retryDelayInMs: 1 } }).setSecret(name, "v");

      assert.equal(lost.applied, 1);
      assert.equal(azure.vault.secrets.versions(name).length, 2);
    });

    it("throws a bare 429 at the caller at once, and obeys Retry-After", async () => {
      const name = newName();
      const client = secretClient(azure, { retryOptions: { maxRetries: 3, retryDelayInMs: 1 } });
      azure.faults.inject({ operation: "keyvault.setSecret", kind: "answer", status: 429 });
      await assert.rejects(client.setSecret(name, "v"), { statusCode: 429, code: "Throttled" });
      assert.equal(azure.requests.count("keyvault.setSecret"), 1);

      azure.faults.clear();
      azure.faults.inject({
        operation: "keyvault.setSecret",
        kind: "answer",
        status: 429,
        retryAfter: 0,
        times: 2,
      });
      await client.setSecret(name, "v");
      assert.deepEqual(
        azure.requests.of("keyvault.setSecret").map(({ status }) => status),
        [429, 429, 429, 200],
      );
      assert.equal(azure.vault.secrets.versions(name).length, 1);
    });

    it("hits only the secret that it is meant for", async () => {
      const [hit, spared] = [newName(), newName()];
      azure.faults.inject({ operation: "keyvault.*", match: hit, kind: "answer", status: 503 });
      const client = secretClient(azure);
      await assert.rejects(client.setSecret(hit, "v"), { statusCode: 503 });
      await client.setSecret(spared, "v");
    });

    it("dates a version by the skewed clock of the vault", async () => {
      azure.faults.inject({ operation: "keyvault.setSecret", kind: "clockSkew", ms: -120_000 });
      const { properties } = await secretClient(azure).setSecret(newName(), "v");
      assert.equal(properties.createdOn?.getTime(), (Math.floor(clock.now() / 1000) - 120) * 1000);
    });
  });

  interface VaultError {
    readonly error: { readonly innerError: { readonly code: string } };
  }

  interface Answer {
    readonly headers: { get(name: string): string | undefined };
  }

  async function get(
    path: string,
    audience = "https://vault.azure.net",
    url = azure.vault.url,
  ): Promise<Response> {
    const token = await credential(azure).getToken(audience);
    return fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token?.token}` } });
  }
});

async function all<T extends SecretProperties | KeyVaultSecret | SecretProperties[]>(
  items: AsyncIterable<T>,
): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) {
    collected.push(item);
  }
  return collected;
}
