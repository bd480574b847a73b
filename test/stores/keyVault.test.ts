import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { systemClock } from "../../src/clock.ts";
import { RotatorError } from "../../src/errors.ts";
import { chooseIdentity } from "../../src/identity.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import type { CallContext, NewVersion, SecretStore } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { createKeyVaultStore, type KeyVaultStoreOptions } from "../../src/stores/keyVault.ts";
import { takeIdentity } from "../processIdentity.ts";
import { VirtualClock } from "../virtualClock.ts";

// The real SDK compares token lifetimes with the machine's clock, so virtual time begins there.
const clock = new VirtualClock(Math.floor(systemClock.now() / 1000) * 1000);
const hour = 3_600_000;

let azure: EmbeddedAzure;
let trust: Disposable;
let identity: Disposable;
let store: SecretStore;

before(async () => {
  azure = await startEmbeddedAzure({
    clock,
    vaults: [{ name: "local" }, { name: "slow", transitionMs: 5_000 }],
  });
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
  store = newStore();
});

after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  assert.deepEqual(azure.requests.defects, []);
});

afterEach(() => {
  azure.faults.clear();
  azure.requests.clear();
  for (const vault of azure.vaults.values()) {
    vault.assignments = undefined;
  }
});

function newStore(options: Partial<KeyVaultStoreOptions> = {}): SecretStore {
  const { credential } = chooseIdentity(azure.environment);
  return createKeyVaultStore({ vault: azure.vault.url, credential, clock, ...options });
}

function within(budgetMs: number, signal = new AbortController().signal): CallContext {
  return { signal, giveUpAt: clock.now() + budgetMs };
}

let operations = 0;
function aVersion(overrides: Partial<NewVersion> & { text?: string } = {}): NewVersion {
  operations += 1;
  const { text = `value-${operations}`, ...rest } = overrides;
  return {
    value: new SecretValue(text),
    contentType: "text/plain",
    expiresOn: new Date(clock.now() + hour),
    tags: { operation: `operation-${operations}` },
    ...rest,
  };
}

let names = 0;
function aName(): string {
  names += 1;
  return `secret-${names}`;
}

function seed(count: number, prefix: string): string[] {
  const seeded = Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(4, "0")}`);
  for (const name of seeded) {
    azure.vault.secrets.set(name, "seeded", { tags: { operation: "seeded" } });
  }
  return seeded;
}

/** Runs a call that must fail, and gives the error. */
async function failure(call: Promise<unknown>): Promise<RotatorError> {
  const error = await clock.run(
    call.then(
      (result) => assert.fail(`it succeeded with ${inspect(result)}`),
      (thrown: unknown) => thrown,
    ),
  );
  assert.ok(error instanceof RotatorError, inspect(error));
  return error;
}

describe("write and read", () => {
  test("a written version comes back as it was written", async () => {
    const name = aName();
    const expiresOn = new Date(clock.now() + hour + 999);
    const tags = { "managed-by": "test", operation: "op-1" };
    const written = await store.write(name, aVersion({ text: "first", expiresOn, tags }), within(0));
    assert.match(written.version ?? "", /^[0-9a-f]{32}$/);
    assert.deepEqual(written, {
      name,
      version: written.version,
      enabled: true,
      contentType: "text/plain",
      tags,
      createdOn: new Date(clock.now()),
      // Whole seconds, never later than what was asked for.
      expiresOn: new Date(clock.now() + hour),
    });
    const second = await store.write(name, aVersion({ text: "second" }), within(0));
    const current = await store.read(name, within(0));
    assert.equal(current?.value.reveal(), "second");
    assert.deepEqual(current?.properties, second);
    const first = await store.read(name, within(0), written.version);
    assert.equal(first?.value.reveal(), "first");
    assert.deepEqual(first?.properties, written);
  });

  test("a version may be without an expiry", async () => {
    const { expiresOn, ...version } = aVersion();
    const written = await store.write(aName(), version, within(0));
    assert.ok(expiresOn);
    assert.equal(written.expiresOn, undefined);
  });

  test("only the vault's own 'not found' is undefined", async () => {
    assert.equal(await store.read("never-written", within(0)), undefined);
    const name = aName();
    await store.write(name, aVersion(), within(0));
    assert.equal(await store.read(name, within(0), "0".repeat(32)), undefined);
    azure.faults.inject({ operation: "keyvault.getSecret", kind: "answer", status: 500 });
    assert.equal((await failure(store.read(name, within(0)))).code, "VaultUnavailable");
  });

  test("a disabled version cannot be read", async () => {
    const name = aName();
    const { version } = await store.write(name, aVersion(), within(0));
    await store.disable(name, version as string, within(0));
    const error = await failure(store.read(name, within(60_000)));
    assert.equal(error.code, "SecretDisabled");
    assert.equal(error.attempts, 1);
  });
});

describe("inspect", () => {
  test("lists 25 a page, stops once every name is found, and reads no value", async () => {
    const seeded = seed(60, "a-listing");
    const states = await store.inspect(
      [seeded[3] as string, (seeded[20] as string).toUpperCase()],
      within(0),
    );
    assert.equal(azure.requests.count("keyvault.listSecrets"), 1);
    const [first, second] = [...states.entries()];
    assert.equal(first?.[0], seeded[3]);
    assert.deepEqual(first?.[1].kind === "present" && first[1].properties, {
      name: seeded[3],
      enabled: true,
      tags: { operation: "seeded" },
      createdOn: new Date(clock.now()),
    });
    assert.deepEqual([second?.[0], second?.[1].kind], [seeded[20]?.toUpperCase(), "present"]);
    assert.equal(azure.requests.count("keyvault.getSecret"), 0);
    assert.equal(azure.requests.count("keyvault.listVersions"), 0);
  });

  test("a name that a complete listing does not show is absent; a disabled or deleted one is told apart", async () => {
    const [disabled, deleted] = [aName(), aName()];
    azure.vault.secrets.set(disabled, "x", { enabled: false });
    azure.vault.secrets.set(deleted, "x");
    azure.vault.secrets.delete(deleted);
    const states = await store.inspect([disabled, deleted, "zz-never-written"], within(0));
    const state = states.get(disabled);
    assert.equal(state?.kind === "present" && state.properties.enabled, false);
    assert.equal(states.get(deleted)?.kind, "absent");
    assert.equal(states.get("zz-never-written")?.kind, "absent");
    assert.ok(azure.requests.count("keyvault.listSecrets") > 1);
  });

  test("every name that was asked for has a state, also one that is given twice", async () => {
    const name = aName();
    azure.vault.secrets.set(name, "x");
    const wanted = [name, name.toUpperCase(), name, "never-written", "NEVER-WRITTEN"];
    const states = await store.inspect(wanted, within(0));
    assert.deepEqual(
      wanted.map((each) => states.get(each)?.kind),
      ["present", "present", "present", "absent", "absent"],
    );
  });

  test("nothing wanted, nothing asked", async () => {
    assert.equal((await store.inspect([], within(0))).size, 0);
    assert.equal(azure.requests.total, 0);
  });

  test("a page that fails is asked for again, and only that page", async () => {
    const seeded = seed(60, "a-listing");
    let pages = 0;
    azure.faults.inject({
      operation: "keyvault.listSecrets",
      kind: "reset",
      match: () => {
        pages += 1;
        return pages === 3;
      },
    });
    const states = await clock.run(store.inspect([seeded[59] as string], within(60_000)));
    assert.equal(states.get(seeded[59] as string)?.kind, "present");
    assert.equal(azure.requests.count("keyvault.listSecrets"), 4);
  });

  test("what an incomplete listing has not shown is unknown, never absent", async () => {
    const seeded = seed(60, "a-listing");
    let pages = 0;
    azure.faults.inject({
      operation: "keyvault.listSecrets",
      kind: "answer",
      status: 503,
      match: () => {
        pages += 1;
        return pages > 2;
      },
    });
    const wanted = [seeded[0] as string, seeded[49] as string, seeded[50] as string, "zz-never-written"];
    const states = await clock.run(store.inspect(wanted, within(3_000)));
    assert.deepEqual(
      wanted.map((name) => states.get(name)?.kind),
      ["present", "present", "unknown", "unknown"],
    );
    const state = states.get("zz-never-written");
    const error = state?.kind === "unknown" ? state.error : undefined;
    assert.equal(error?.code, "VaultUnavailable");
    assert.equal(error?.attempts, 3);
    assert.deepEqual(error?.facts, { vault: azure.vault.url, httpStatus: 503 });
  });

  test("where a condition on names forbids the listing, each secret is asked for by itself", async () => {
    const [mine, empty, theirs] = [`rot-${aName()}`, "rot-never-written", aName()];
    azure.vault.secrets.set(mine, "old", { tags: { operation: "old" } });
    await clock.advance(1_000);
    azure.vault.secrets.set(mine, "new", { tags: { operation: "new" }, enabled: false });
    azure.vault.secrets.set(theirs, "x");
    azure.vault.assignments = [
      {
        principalId: azure.identity.identities[0]?.objectId as string,
        actions: ["Microsoft.KeyVault/vaults/secrets/readMetadata/action"],
        secrets: /^rot-/,
      },
    ];
    const states = await clock.run(store.inspect([mine, empty, theirs], within(60_000)));
    const state = states.get(mine);
    assert.ok(state?.kind === "present");
    assert.deepEqual(state.properties.tags, { operation: "new" });
    assert.equal(state.properties.enabled, false);
    assert.equal(states.get(empty)?.kind, "absent");
    const forbidden = states.get(theirs);
    assert.equal(forbidden?.kind === "unknown" && forbidden.error.code, "VaultForbidden");
    assert.equal(azure.requests.count("keyvault.getSecret"), 0);
  });

  test("an aborted signal is thrown with its reason, and at once", async () => {
    const controller = new AbortController();
    const reason = new Error("the tick is over");
    const hold = azure.faults.hold({ operation: "keyvault.listSecrets" });
    const inspected = store.inspect(["a"], within(60_000, controller.signal));
    await hold.arrived();
    controller.abort(reason);
    await assert.rejects(inspected, (error) => error === reason);
    await assert.rejects(store.inspect(["a"], within(0, controller.signal)), (error) => error === reason);
  });
});

describe("exactly one version per operation", () => {
  for (const { name, fault, puts } of [
    { name: "the connection is cut after the write", fault: { kind: "lostResponse" }, puts: 1 },
    { name: "a gateway gives up after the write", fault: { kind: "lostResponse", status: 504 }, puts: 1 },
    { name: "the connection is cut before the write", fault: { kind: "reset" }, puts: 2 },
    { name: "the vault is down at first", fault: { kind: "answer", status: 500 }, puts: 2 },
    { name: "the vault throttles at first", fault: { kind: "answer", status: 429 }, puts: 2 },
  ] as const) {
    test(name, async () => {
      const secret = aName();
      azure.vault.secrets.set(secret, "before", { tags: { operation: "another" } });
      azure.faults.inject({ operation: "keyvault.setSecret", times: 1, ...fault });
      const version = aVersion();
      const written = await clock.run(store.write(secret, version, within(60_000)));
      const versions = azure.vault.secrets.versions(secret);
      assert.equal(versions.length, 2);
      assert.equal(written.version, versions[1]?.id);
      assert.deepEqual(written.tags, version.tags);
      assert.equal(azure.requests.count("keyvault.setSecret"), puts);
    });
  }

  test("many answers are lost, and the look is hindered too", async () => {
    const secret = aName();
    azure.faults.inject({ operation: "keyvault.setSecret", kind: "reset", times: 3 });
    azure.faults.inject({ operation: "keyvault.setSecret", kind: "lostResponse", times: 1 });
    azure.faults.inject({ operation: "keyvault.listVersions", kind: "answer", status: 500, times: 2 });
    await clock.run(store.write(secret, aVersion(), within(120_000)));
    assert.equal(azure.vault.secrets.versions(secret).length, 1);
  });

  test("a write that was given up on is settled by the next one of the same operation", async () => {
    const secret = aName();
    const version = aVersion();
    azure.faults.inject({ operation: "keyvault.setSecret", kind: "lostResponse" });
    const error = await failure(store.write(secret, version, within(0)));
    assert.equal(error.code, "VaultConnectionLost");
    assert.equal(error.ambiguous, true);
    const written = await store.write(secret, version, within(0));
    assert.equal(azure.vault.secrets.versions(secret).length, 1);
    assert.equal(written.version, azure.vault.secrets.versions(secret)[0]?.id);
  });

  test("a write that was aborted is settled by the next one of the same operation", async () => {
    const secret = aName();
    const version = aVersion();
    const controller = new AbortController();
    const hold = azure.faults.hold({ operation: "keyvault.setSecret", stage: "afterEffect" });
    const aborted = assert.rejects(store.write(secret, version, within(60_000, controller.signal)));
    await hold.arrived();
    controller.abort();
    await aborted;
    hold.release();
    await store.write(secret, version, within(0));
    assert.equal(azure.vault.secrets.versions(secret).length, 1);
  });

  test("an answer that takes too long counts as lost", async () => {
    const secret = aName();
    const impatient = newStore({ limits: { tryTimeoutMs: 100 } });
    await impatient.inspect([secret], within(0));
    const hold = azure.faults.hold({ operation: "keyvault.setSecret", stage: "afterEffect" });
    const written = await clock.run(impatient.write(secret, aVersion(), within(60_000)));
    hold.release();
    assert.equal(azure.vault.secrets.versions(secret).length, 1);
    assert.equal(written.version, azure.vault.secrets.versions(secret)[0]?.id);
  });

  test("the same operation after a success writes nothing; another operation does", async () => {
    const secret = aName();
    const version = aVersion();
    const first = await store.write(secret, version, within(0));
    assert.deepEqual(await store.write(secret, version, within(0)), first);
    await store.write(secret, aVersion(), within(0));
    assert.equal(azure.vault.secrets.versions(secret).length, 2);
  });
});

describe("Key Vault's limits are checked before anything is sent", () => {
  const text = (length: number) => "x".repeat(length);
  const tags = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`tag-${index}`, "x"]));
  for (const { what, accepted, refused, code } of [
    {
      what: "25 KB in octets",
      accepted: { text: text(25_600) },
      refused: { text: text(25_601) },
      code: "SecretTooLarge",
    },
    {
      what: "25 KB in octets, not characters",
      accepted: { text: "é".repeat(12_800) },
      refused: { text: `${"é".repeat(12_800)}x` },
      code: "SecretTooLarge",
    },
    {
      what: "15 tags",
      accepted: { tags: { ...tags(14), operation: "limit-1" } },
      refused: { tags: { ...tags(15), operation: "limit-1" } },
      code: "SecretPropertiesInvalid",
    },
    {
      what: "512 characters in a tag",
      accepted: { tags: { note: text(512), operation: "limit-2" } },
      refused: { tags: { note: text(513), operation: "limit-2" } },
      code: "SecretPropertiesInvalid",
    },
    {
      what: "512 characters in a tag's name",
      accepted: { tags: { [text(512)]: "x", operation: "limit-3" } },
      refused: { tags: { [text(513)]: "x", operation: "limit-3" } },
      code: "SecretPropertiesInvalid",
    },
    {
      what: "255 characters of content type",
      accepted: { contentType: text(255) },
      refused: { contentType: text(256) },
      code: "SecretPropertiesInvalid",
    },
    {
      what: "dates that the client can write",
      accepted: { expiresOn: new Date("2038-01-19T03:14:07.999Z") },
      refused: { expiresOn: new Date("2038-01-19T03:14:08Z") },
      code: "ExpiryOutOfRange",
    },
    {
      what: "a date at all",
      accepted: { expiresOn: new Date(1_000) },
      refused: { expiresOn: new Date(Number.NaN) },
      code: "ExpiryOutOfRange",
    },
  ]) {
    test(what, async () => {
      const secret = aName();
      const written = await store.write(secret, aVersion(accepted), within(0));
      const { expiresOn } = accepted;
      if (expiresOn !== undefined) {
        assert.equal(written.expiresOn?.getTime(), Math.floor(expiresOn.getTime() / 1000) * 1000);
      }
      azure.requests.clear();
      const error = await failure(store.write(secret, aVersion(refused), within(60_000)));
      assert.equal(error.code, code);
      assert.equal(error.facts.secret, secret);
      assert.equal(azure.requests.total, 0);
    });
  }

  test("127 letters, digits and hyphens in a name, in every call", async () => {
    const longest = "n".repeat(127);
    await store.write(longest, aVersion(), within(0));
    assert.ok(await store.read(longest, within(0)));
    azure.requests.clear();
    for (const name of ["n".repeat(128), "", "with_underscore", "a/b", "ä"]) {
      for (const call of [
        () => store.write(name, aVersion(), within(0)),
        () => store.read(name, within(0)),
        () => store.listVersions(name, within(0)),
        () => store.replaceTags(name, {}, within(0)),
        () => store.disable(name, "0".repeat(32), within(0)),
      ]) {
        const error = await failure(call());
        assert.equal(error.code, "SecretNameInvalid");
        assert.ok(!JSON.stringify(error.facts).includes("underscore"));
      }
    }
    assert.equal(azure.requests.total, 0);
  });
});

describe("a name that is taken", () => {
  test("by a deleted secret: a problem of its own, and nothing is retried", async () => {
    const secret = aName();
    azure.vault.secrets.set(secret, "x");
    azure.vault.secrets.delete(secret);
    const error = await failure(store.write(secret, aVersion(), within(60_000)));
    assert.equal(error.code, "SecretDeleted");
    assert.equal(error.retryable, false);
    assert.equal(error.attempts, 1);
    assert.deepEqual(error.facts, { vault: azure.vault.url, secret, httpStatus: 409 });
    assert.match(error.remedy, /az keyvault secret recover .*az keyvault secret purge /);
  });

  test("by one that is being deleted, purged or recovered: waits for it", async () => {
    const slow = azure.vaults.get("slow");
    assert.ok(slow);
    const slowStore = newStore({ vault: slow.url });
    const secret = aName();
    slow.secrets.set(secret, "x");
    slow.secrets.delete(secret);
    assert.equal((await failure(slowStore.write(secret, aVersion(), within(0)))).code, "SecretBeingDeleted");
    await clock.advance(5_000);
    slow.secrets.purge(secret);
    const began = clock.now();
    await clock.run(slowStore.write(secret, aVersion({ text: "after" }), within(60_000)));
    assert.ok(clock.now() - began >= 5_000);
    assert.equal(slow.secrets.find(secret).value.reveal(), "after");
    slow.secrets.delete(secret);
    await clock.advance(5_000);
    slow.secrets.recover(secret);
    await clock.run(slowStore.write(secret, aVersion(), within(60_000)));
    assert.equal(slow.secrets.versions(secret).length, 2);
  });
});

describe("throttling", () => {
  test("a bare 429 is retried with back-off", async () => {
    const name = aName();
    azure.vault.secrets.set(name, "x");
    let throttled = 0;
    const told = newStore({
      onThrottled: () => {
        throttled += 1;
      },
    });
    azure.faults.inject({ operation: "keyvault.getSecret", kind: "answer", status: 429, times: 3 });
    const began = clock.now();
    assert.ok(await clock.run(told.read(name, within(60_000))));
    assert.equal(throttled, 3);
    const waitedMs = clock.now() - began;
    assert.ok(waitedMs > 7_000 * 0.75 && waitedMs <= 7_000, `${waitedMs} ms`);
  });

  for (const { name, retryAfter } of [
    { name: "seconds", retryAfter: () => 20 },
    { name: "a date", retryAfter: () => new Date(clock.now() + 20_000).toUTCString() },
  ]) {
    test(`Retry-After is honoured: ${name}`, async () => {
      azure.faults.inject({
        operation: "keyvault.listSecrets",
        kind: "answer",
        status: 429,
        retryAfter: retryAfter(),
        times: 1,
      });
      const began = clock.now();
      await clock.run(store.inspect(["a"], within(60_000)));
      assert.ok(clock.now() - began >= 20_000);
    });
  }

  test("it gives up when the time is up, and tells how often it tried", async () => {
    azure.faults.inject({ operation: "keyvault.setSecret", kind: "answer", status: 429, retryAfter: 2 });
    const error = await failure(store.write(aName(), aVersion(), within(5_000)));
    assert.equal(error.code, "VaultThrottled");
    assert.equal(error.ambiguous, false);
    assert.equal(error.retryAfterMs, 2_000);
    assert.equal(error.attempts, 3);
  });
});

describe("versions", () => {
  test("every version, newest first, over several pages", async () => {
    const name = aName();
    for (let index = 0; index < 30; index += 1) {
      azure.vault.secrets.set(name, "x", { tags: { operation: String(index) } });
      await clock.advance(1_000);
    }
    const versions = await store.listVersions(name, within(0));
    assert.deepEqual(
      versions.map(({ tags }) => tags.operation),
      Array.from({ length: 30 }, (_, index) => String(29 - index)),
    );
    assert.equal(azure.requests.count("keyvault.listVersions"), 2);
    assert.deepEqual(await store.listVersions("never-written", within(0)), []);
  });

  test("of two versions of one second the one that expires later is the newer", async () => {
    const name = aName();
    const seconds = Math.floor(clock.now() / 1000);
    for (const [operation, expires] of [
      ["old", seconds + 60],
      ["new", seconds + 120],
      ["older", seconds + 30],
    ] as const) {
      azure.vault.secrets.set(name, "x", { tags: { operation }, expires });
    }
    const versions = await store.listVersions(name, within(0));
    assert.deepEqual(
      versions.map(({ tags }) => tags.operation),
      ["new", "old", "older"],
    );
  });

  test("tags are replaced as a whole, of the current version or of the one named", async () => {
    const name = aName();
    const first = await store.write(name, aVersion({ tags: { operation: "1", gone: "x" } }), within(0));
    await clock.advance(1_000);
    const second = await store.write(name, aVersion({ tags: { operation: "2" } }), within(0));
    const changed = await store.replaceTags(name, { operation: "2", paused: "yes" }, within(0));
    assert.deepEqual(changed.tags, { operation: "2", paused: "yes" });
    assert.equal(changed.version, second.version);
    await store.replaceTags(name, { operation: "1" }, within(0), first.version);
    const stored = azure.vault.secrets.versions(name);
    assert.deepEqual(
      stored.map(({ tags }) => tags),
      [{ operation: "1" }, { operation: "2", paused: "yes" }],
    );
    assert.deepEqual(
      stored.map(({ enabled }) => enabled),
      [true, true],
    );
    assert.equal(azure.requests.count("keyvault.getSecret"), 0);
    assert.equal((await failure(store.replaceTags("never-written", {}, within(0)))).code, "SecretNotFound");
    const unknown = store.replaceTags(name, {}, within(0), "0".repeat(32));
    assert.equal((await failure(unknown)).code, "SecretNotFound");
  });

  test("disabling touches nothing but the one version's state", async () => {
    const name = aName();
    const first = await store.write(name, aVersion(), within(0));
    await store.write(name, aVersion(), within(0));
    const before = azure.vault.secrets.find(name, first.version);
    await store.disable(name, first.version as string, within(0));
    const after = azure.vault.secrets.find(name, first.version);
    assert.deepEqual({ ...after, updated: 0 }, { ...before, enabled: false, updated: 0 });
    assert.equal(azure.vault.secrets.find(name).enabled, true);
  });
});

describe("what the vault refuses", () => {
  for (const { action, role, call } of [
    {
      action: "setSecret",
      role: "Key Vault Secrets Officer",
      call: () => store.write("s", aVersion(), within(60_000)),
    },
    { action: "getSecret", role: "Key Vault Secrets User", call: () => store.read("s", within(60_000)) },
    {
      action: "update",
      role: "Key Vault Secrets Officer",
      call: () => store.disable("s", "0".repeat(32), within(60_000)),
    },
    { action: "readMetadata", role: "Key Vault Reader", call: () => store.listVersions("s", within(60_000)) },
  ]) {
    test(`forbidden: ${action} names action, role and scope`, async () => {
      azure.vault.assignments = [];
      const error = await failure(call());
      assert.equal(error.code, "VaultForbidden");
      assert.equal(error.attempts, 1);
      assert.deepEqual(error.facts, {
        vault: azure.vault.url,
        secret: "s",
        httpStatus: 403,
        action: `Microsoft.KeyVault/vaults/secrets/${action}/action`,
        role,
        scope: "Microsoft.KeyVault/vaults/127/secrets/s",
      });
    });
  }

  for (const { code, status, innerCode, message, retryable } of [
    {
      code: "VaultFirewall",
      status: 403,
      innerCode: "ForbiddenByFirewall",
      message: "Client address is not authorized and caller is not a trusted service.",
      retryable: false,
    },
    {
      code: "VaultFirewall",
      status: 403,
      innerCode: "ForbiddenByConnection",
      message: "Public network access is disabled.",
      retryable: false,
    },
    {
      code: "VaultForbidden",
      status: 403,
      innerCode: "AccessDenied",
      message: "The user does not have secrets get permission.",
      retryable: false,
    },
    {
      code: "VaultRefused",
      status: 400,
      innerCode: "x",
      message: "Property has invalid value",
      retryable: false,
    },
    { code: "VaultRefused", status: 307, innerCode: "x", message: "Moved", retryable: false },
    { code: "VaultUnavailable", status: 408, innerCode: "x", message: "Timeout", retryable: true },
    { code: "VaultUnavailable", status: 503, innerCode: "x", message: "Down", retryable: true },
    {
      code: "SecretBeingDeleted",
      status: 409,
      innerCode: "x",
      message: "There was a conflict.",
      retryable: true,
    },
  ]) {
    test(`${status} ${innerCode} is ${code}`, async () => {
      azure.faults.inject({
        operation: "keyvault.setSecret",
        kind: "answer",
        status,
        headers: { location: `${azure.vault.url}/secrets/elsewhere?api-version=7.4` },
        body: { error: { code: "Some", message, innererror: { code: innerCode } } },
      });
      const error = await failure(store.write("s", aVersion(), within(0)));
      assert.equal(error.code, code);
      assert.equal(error.retryable, retryable);
      assert.equal(error.ambiguous, status === 408 || status >= 500);
      assert.equal(azure.requests.total, 1, "nothing follows a redirect with the value");
    });
  }

  for (const { name, headers, body } of [
    { name: "a page for people", headers: {}, body: "<html>Sign in</html>" },
    { name: "half of an answer", headers: { "content-type": "application/json" }, body: '{"id":' },
  ]) {
    test(`${name} is no answer of Key Vault`, async () => {
      const fault = { kind: "answer", status: 200, headers, body, times: 1 } as const;
      azure.faults.inject({ operation: "keyvault.getSecret", ...fault });
      const error = await failure(store.read("s", within(0)));
      assert.equal(error.code, "VaultAnswerMalformed");
      const secret = aName();
      azure.faults.inject({ operation: "keyvault.setSecret", ...fault });
      await clock.run(store.write(secret, aVersion(), within(60_000)));
      assert.equal(azure.vault.secrets.versions(secret).length, 1);
    });
  }

  test("a token that the vault does not accept", async () => {
    azure.faults.inject({ operation: "keyvault.*", kind: "clockSkew", ms: 25 * hour });
    const error = await failure(store.read("s", within(60_000)));
    assert.equal(error.code, "VaultUnauthorized");
  });
});

describe("the way to the vault", () => {
  test("a connection that is lost", async () => {
    azure.faults.inject({ operation: "keyvault.getSecret", kind: "reset", times: 2 });
    const error = await failure(store.read("s", within(0)));
    assert.equal(error.code, "VaultConnectionLost");
    assert.equal(await clock.run(store.read("s", within(60_000))), undefined);
  });

  test("a vault that does not answer", async () => {
    const impatient = newStore({ limits: { tryTimeoutMs: 100 } });
    const hold = azure.faults.hold({ operation: "keyvault.getSecret" });
    const error = await failure(impatient.read("s", within(0)));
    hold.release();
    assert.equal(error.code, "VaultTimeout");
    assert.equal(error.ambiguous, false);
  });

  test("nobody listens", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const vault = `https://127.0.0.1:${port}`;
    const error = await failure(newStore({ vault }).write("s", aVersion(), within(0)));
    assert.equal(error.code, "VaultUnreachable");
    assert.equal(error.retryable, true);
    assert.equal(error.ambiguous, false);
    assert.equal(error.facts.errorCode, "ECONNREFUSED");
  });

  test("a name that does not resolve", async () => {
    // Longer than a label may be, so that no name server is asked.
    const unknown = newStore({ vault: `https://${"a".repeat(64)}.invalid` });
    const error = await failure(unknown.read("s", within(60_000)));
    assert.equal(error.code, "VaultNameUnknown");
    assert.equal(error.attempts, 1);
  });

  test("a certificate that is not trusted", async () => {
    trust[Symbol.dispose]();
    try {
      const error = await failure(newStore().read("s", within(60_000)));
      assert.equal(error.code, "VaultCertificateRefused");
      assert.equal(error.attempts, 1);
    } finally {
      trust = azure.trustInThisProcess();
    }
  });

  test("a token is not sent to a vault that asks for another resource, except on this machine", async (context) => {
    // The same vault under a name that does not count as loopback, and that its certificate is good for.
    const elsewhere = new URL(azure.vault.url);
    elsewhere.hostname = "localhost.";
    context.mock.method(
      dns,
      "lookup",
      (_: string, options: { all?: boolean }, callback: (...found: unknown[]) => void) =>
        options.all ? callback(null, [{ address: "127.0.0.1", family: 4 }]) : callback(null, "127.0.0.1", 4),
    );
    const error = await failure(newStore({ vault: elsewhere.href }).read("s", within(60_000)));
    assert.equal(error.code, "VaultChallengeRefused");
    assert.deepEqual(azure.requests.of("keyvault.getSecret"), []);
  });
});

describe("the credential", () => {
  test("is asked again where it fails for a while, and its codes come through", async () => {
    const { credential } = chooseIdentity(azure.environment);
    const real = await credential();
    const { identityProblems } = await import("../../src/identity/identityErrors.ts");
    let failures = 2;
    const flaky = newStore({
      credential: async () => ({
        getToken: async (scopes, options) => {
          failures -= 1;
          if (failures >= 0) {
            throw new RotatorError(identityProblems.IdentityThrottled);
          }
          return real.getToken(scopes, options);
        },
      }),
    });
    assert.equal(await clock.run(flaky.read("never-written", within(60_000))), undefined);
    assert.equal(failures, -1);
    failures = 1_000;
    const broken = newStore({
      credential: async () => ({
        getToken: async () => {
          throw new RotatorError(identityProblems.IdentityNotAssigned);
        },
      }),
    });
    assert.equal((await failure(broken.read("s", within(60_000)))).code, "IdentityNotAssigned");
    const foreign = newStore({
      credential: async () => ({
        getToken: async () => {
          throw new Error("AADSTS700016: Application with identifier 'x' was not found in the directory");
        },
      }),
    });
    assert.equal((await failure(foreign.read("s", within(60_000)))).code, "IdentityUnknown");
  });

  test("a failure to make one is not remembered; a success is", async () => {
    const { credential } = chooseIdentity(azure.environment);
    let made = 0;
    const flaky = newStore({
      credential: () => {
        made += 1;
        return made === 1 ? Promise.reject(new Error("not yet")) : credential();
      },
    });
    await assert.rejects(flaky.read("s", within(0)), { message: "not yet" });
    assert.equal(await flaky.read("never-written", within(0)), undefined);
    assert.equal(await flaky.read("never-written", within(0)), undefined);
    assert.equal(made, 2);
  });

  test("one client per store: the vault challenges once", async () => {
    const fresh = newStore();
    await fresh.read("never-written", within(0));
    await fresh.inspect(["never-written"], within(0));
    await fresh.write(aName(), aVersion(), within(0));
    assert.equal(azure.requests.count("keyvault.challenge"), 1);
  });
});

test("no error shows the value", async () => {
  const canary = "canary-7d22ece1dd604279";
  for (const fault of [{ kind: "reset" }, { kind: "answer", status: 400, body: canary }] as const) {
    azure.faults.inject({ operation: "keyvault.setSecret", ...fault, times: 1 });
    const error = await failure(store.write(aName(), aVersion({ text: canary }), within(0)));
    const shown = [
      inspect(error, { depth: 20, showHidden: true }),
      error.stack,
      JSON.stringify(error),
      error.summary,
    ];
    assert.ok(!shown.join("\n").includes(canary));
  }
});
