import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  assess,
  patienceMs,
  type RunningRevision,
  type Situation,
} from "../../src/consumers/containerAppPlan.ts";

const second = 1_000;
/** When the secrets were applied. */
const since = 1_000_000 * second;

function revision(
  name: string,
  created: readonly number[],
  overrides: Partial<RunningRevision> = {},
): RunningRevision {
  const replicas = created.map((offset) => ({ createdAt: since + offset, running: true, ready: true }));
  return { name, active: true, createdAt: since - 3_600 * second, failed: false, replicas, ...overrides };
}

function situation(revisions: readonly RunningRevision[], overrides: Partial<Situation> = {}): Situation {
  return {
    revisions,
    kind: "revision-restart",
    since,
    now: since + 60 * second,
    asked: undefined,
    youngMeansAsked: true,
    ...overrides,
  };
}

const asked = (offset: number, attempt = 1, revisions: readonly string[] | "all" = "all") => ({
  at: since + offset,
  attempt,
  revisions,
});

describe("what is due at an app", () => {
  const cases: readonly [what: string, given: Situation, expected: object][] = [
    ["nothing where nothing runs", situation([revision("a", [])]), { kind: "current" }],
    [
      "a restart where a replica is as old as the update",
      situation([revision("a", [0])]),
      { kind: "due", revisions: ["a"], attempt: 1 },
    ],
    ["nothing where it is a second younger", situation([revision("a", [second])]), { kind: "current" }],
    [
      "a restart of the revisions that are old, and of no other",
      situation([revision("a", [-second]), revision("b", [second]), revision("c", [-second])]),
      { kind: "due", revisions: ["a", "c"], attempt: 1 },
    ],
    [
      "nothing for an inactive one",
      situation([revision("a", [-second], { active: false }), revision("b", [second])]),
      { kind: "current" },
    ],
    [
      "nothing but time where a young replica stands beside an old one",
      situation([revision("a", [-second, 5 * second])]),
      { kind: "waiting", old: 1, unready: 0 },
    ],
    [
      "a restart all the same where this run knows that it asked for none",
      situation([revision("a", [-second, 5 * second])], { youngMeansAsked: false }),
      { kind: "due", revisions: ["a"], attempt: 1 },
    ],
    [
      "nothing but time after a restart was asked for",
      situation([revision("a", [-second])], { asked: asked(0) }),
      { kind: "waiting", old: 1, unready: 0 },
    ],
    [
      "a restart where the note is from before the update",
      situation([revision("a", [-second])], { asked: asked(-second) }),
      { kind: "due", revisions: ["a"], attempt: 1 },
    ],
    [
      "a restart of a revision that the note does not name",
      situation([revision("a", [-second]), revision("b", [-second])], { asked: asked(0, 1, ["a"]) }),
      { kind: "due", revisions: ["b"], attempt: 1 },
    ],
    [
      "patience until ten minutes have passed",
      situation([revision("a", [-second])], { asked: asked(0), now: since + patienceMs - second }),
      { kind: "waiting", old: 1, unready: 0 },
    ],
    [
      "a second restart then",
      situation([revision("a", [-second])], { asked: asked(0), now: since + patienceMs }),
      { kind: "due", revisions: ["a"], attempt: 2 },
    ],
    [
      "patience again after the second",
      situation([revision("a", [-second])], { asked: asked(0, 2), now: since + patienceMs - second }),
      { kind: "waiting", old: 1, unready: 0 },
    ],
    [
      "nothing more after that",
      situation([revision("a", [-second, -second])], { asked: asked(0, 2), now: since + patienceMs }),
      { kind: "notReplaced", old: 2 },
    ],
    [
      "a second restart where a restart under way has stood still for ten minutes",
      situation([revision("a", [-second, 5 * second])], { now: since + 5 * second + patienceMs }),
      { kind: "due", revisions: ["a"], attempt: 2 },
    ],
    [
      "nothing for what only re-reads",
      situation([revision("a", [-second])], { kind: "none" }),
      { kind: "current" },
    ],
  ];
  for (const [what, given, expected] of cases) {
    it(`is ${what}`, () => assert.deepEqual(assess(given), expected));
  }

  describe("where replicas do not get ready", () => {
    const unready = (offset: number, replica: object = { ready: false }) => {
      const { replicas, ...rest } = revision("a", [offset]);
      return { ...rest, replicas: replicas.map((each) => ({ ...each, ...replica })) };
    };

    it("is patience for ten minutes from their creation, and then a failure", () => {
      const at = (now: number) => assess(situation([unready(5 * second)], { now }));
      assert.deepEqual(at(since + 5 * second + patienceMs - second), { kind: "waiting", old: 0, unready: 1 });
      assert.deepEqual(at(since + 5 * second + patienceMs), { kind: "unhealthy", unready: 1 });
    });

    it("is the same for one that does not run at all", () => {
      const stopped = unready(5 * second, { running: false });
      assert.deepEqual(assess(situation([stopped])), { kind: "waiting", old: 0, unready: 1 });
    });

    it("is nothing for those that came ten minutes after the update or later", () => {
      const now = since + 3 * patienceMs;
      assert.deepEqual(assess(situation([unready(patienceMs)], { now })), { kind: "unhealthy", unready: 1 });
      assert.deepEqual(assess(situation([unready(patienceMs + second)], { now })), { kind: "current" });
    });

    it("counts an old one that does not run only while nothing has taken its place", () => {
      const old = { createdAt: since - second, running: false, ready: false };
      const young = { createdAt: since + second, running: true, ready: true };
      assert.equal(assess(situation([revision("a", [], { replicas: [old] })])).kind, "due");
      assert.equal(assess(situation([revision("a", [], { replicas: [old, young] })])).kind, "current");
    });
  });

  describe("with new-revision", () => {
    const newRevision = (revisions: readonly RunningRevision[], overrides: Partial<Situation> = {}) =>
      assess(situation(revisions, { kind: "new-revision", ...overrides }));
    const old = revision("old", [-second]);

    it("is one where there is none since the update", () => {
      assert.deepEqual(newRevision([old]), { kind: "due", revisions: ["old"], attempt: 1 });
    });

    it("is time while it gets ready, and no second one however long that takes", () => {
      const successor = revision("new", [2 * second], { createdAt: since + second });
      assert.deepEqual(newRevision([old, successor]), { kind: "waiting", old: 1, unready: 0 });
      const late = { now: since + second + patienceMs };
      assert.deepEqual(newRevision([old, successor], late), { kind: "notReplaced", old: 1 });
    });

    it("is a failure at once where the platform says that it failed", () => {
      const failed = revision("new", [], { createdAt: since + second, failed: true, active: false });
      assert.deepEqual(newRevision([old, failed]), { kind: "notReplaced", old: 1 });
      // Also where none of the old replicas is left: what runs beside it is still the old revision.
      assert.equal(newRevision([revision("old", [second]), failed]).kind, "notReplaced");
      const mended = revision("mended", [60 * second], { createdAt: since + 60 * second });
      assert.equal(newRevision([mended, failed]).kind, "current");
    });

    it("is time where it was asked for and is not listed yet", () => {
      assert.equal(newRevision([old], { asked: asked(second) }).kind, "waiting");
    });
  });
});
