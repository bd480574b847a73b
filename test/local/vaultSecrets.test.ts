import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { Refusal } from "../../src/local/service.ts";
import { VaultSecrets } from "../../src/local/vaultSecrets.ts";
import { VirtualClock } from "../virtualClock.ts";

const dayMs = 24 * 3600_000;

function refusal(status: number) {
  return (error: unknown) => error instanceof Refusal && error.reply.status === status;
}

describe("the secrets of an embedded vault", () => {
  it("are seeded and asserted without a client, and print no value", () => {
    const clock = new VirtualClock();
    const secrets = new VaultSecrets(clock);
    secrets.set("name", "one");
    const second = secrets.set("name", "two", { expires: 1_900_000_000, tags: { rotation: "r" } });

    assert.deepEqual(
      secrets.versions("name").map(({ value }) => value.reveal()),
      ["one", "two"],
    );
    assert.equal(secrets.find("NAME"), second);
    assert.equal(second.created, clock.now() / 1000);
    assert.doesNotMatch(inspect(secrets.list(), { depth: 10 }), /one|two/);
  });

  it("notes when a version was altered, and leaves the versions beside it alone", async () => {
    const clock = new VirtualClock();
    const secrets = new VaultSecrets(clock);
    const first = secrets.set("name", "one", { contentType: "a" });
    const second = secrets.set("name", "two");
    await clock.advance(5000);
    const updated = secrets.update("name", { enabled: false }, first.id);
    assert.deepEqual(updated, { ...first, enabled: false, updated: first.created + 5 });
    assert.deepEqual(secrets.versions("name"), [updated, second]);
    assert.throws(() => secrets.get("name", first.id), refusal(403));
    assert.equal(secrets.get("name").id, second.id);
  });

  it("are listed by name, so many after the one given", () => {
    const secrets = new VaultSecrets(new VirtualClock());
    for (const name of ["b", "D", "a", "c"]) {
      secrets.set(name, "v");
    }
    const names = (after?: string, limit?: number) => secrets.list(after, limit).map(({ name }) => name);
    assert.deepEqual(names(), ["a", "b", "c", "D"]);
    assert.deepEqual(names("a", 2), ["b", "c"]);
    assert.deepEqual(names("bb"), ["c", "D"]);
    assert.deepEqual(names("d"), []);
    secrets.delete("b");
    secrets.set("e", "v");
    assert.deepEqual(names("a"), ["c", "D", "e"]);
  });

  it("are gone 90 days after they were deleted", async () => {
    const clock = new VirtualClock();
    const secrets = new VaultSecrets(clock);
    secrets.set("name", "one");
    const { deleted, scheduledPurge } = secrets.delete("name");
    assert.equal(scheduledPurge - deleted, (90 * dayMs) / 1000);
    await clock.advance(90 * dayMs - 1);
    assert.throws(() => secrets.set("name", "two"), refusal(409));
    await clock.advance(1);
    assert.throws(() => secrets.recover("name"), refusal(404));
    assert.deepEqual(secrets.listDeleted(), []);
    secrets.set("name", "two");
    assert.equal(secrets.versions("name").length, 1);
  });

  it("hide the versions of what is deleted", () => {
    const secrets = new VaultSecrets(new VirtualClock());
    secrets.set("name", "one", { enabled: false });
    secrets.delete("name");
    assert.deepEqual(secrets.versions("name"), []);
    assert.throws(() => secrets.find("name"), refusal(404));
    assert.throws(() => secrets.delete("name"), refusal(404));
    assert.throws(() => secrets.getDeleted("name"), refusal(403));
    assert.throws(() => secrets.purge("absent"), refusal(404));
  });
});
