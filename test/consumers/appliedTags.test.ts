import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { appliedIn, restartIn, withApplied, withRestart } from "../../src/consumers/appliedTags.ts";

const at = Date.UTC(2026, 0, 1, 12, 0, 3);

describe("the notes at an app", () => {
  it("say of a secret which version it was given, and when", () => {
    const tags = withApplied({ team: "data" }, "database-uri", { at, version: "5f0c reference" });
    assert.deepEqual(tags, {
      team: "data",
      "token-rotator.database-uri": "2026-01-01T12:00:03Z 5f0c reference",
    });
    assert.deepEqual(appliedIn(tags, "database-uri"), { at, version: "5f0c reference" });
    assert.equal(appliedIn(tags, "database"), undefined);
  });

  it("replace their predecessors, in whatever case the resource answers the name", () => {
    const tags = withApplied({ "Token-Rotator.Database-Uri": "x" }, "database-uri", { at, version: "1" });
    assert.deepEqual(Object.keys(tags), ["token-rotator.database-uri"]);
    assert.equal(appliedIn({ "TOKEN-ROTATOR.a": "2026-01-01T12:00:03Z 1" }, "a")?.version, "1");
  });

  for (const value of ["", "x", "yesterday 5f0c", "2026-01-01T12:00:03Z", " "]) {
    it(`that somebody has edited count as none: ${JSON.stringify(value)}`, () => {
      assert.equal(appliedIn({ "token-rotator.a": value }, "a"), undefined);
      assert.equal(restartIn({ "token-rotator-restart": value }, "app"), undefined);
    });
  }

  it("say which revisions were asked to restart", () => {
    const asked = { at, attempt: 2, revisions: ["my-app--abc", "my-app--rot-1"] };
    const tags = withRestart({}, asked);
    assert.deepEqual(tags, { "token-rotator-restart": "2026-01-01T12:00:03Z 2 abc,rot-1" });
    assert.deepEqual(restartIn(tags, "my-app"), asked);
    assert.deepEqual(restartIn(withRestart(tags, { ...asked, revisions: "all" }), "my-app"), {
      ...asked,
      revisions: "all",
    });
  });

  it("stand for all revisions where their names do not fit into a tag", () => {
    const named = (count: number) =>
      Array.from({ length: count }, (_, index) => `a--${String(index).padStart(7, "0")}`);
    // 23 characters and 29 names of 7 with the commas between them: 254.
    const fits = withRestart({}, { at, attempt: 1, revisions: named(29) });
    assert.equal(fits["token-rotator-restart"]?.length, 254);
    assert.equal(restartIn(fits, "a")?.revisions.length, 29);
    const longer = withRestart({}, { at, attempt: 1, revisions: named(30) });
    assert.equal(restartIn(longer, "a")?.revisions, "all");
  });
});
