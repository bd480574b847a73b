import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decide, renewAt } from "../../src/core/decide.ts";
import { freshness } from "../../src/core/freshness.ts";
import { outputKey } from "../../src/core/rotation.ts";
import { RotatorError } from "../../src/errors.ts";
import type { Freshness, Reason } from "../../src/events.ts";
import type { SecretState } from "../../src/ports.ts";
import { anOutput, aRotation, aToken, epoch, hours, minutes, ourVersion, present } from "../builders.ts";

const expiry = epoch + hours;
const renewal = renewAt(aRotation(), ourVersion());
const unreadable = new RotatorError({ code: "VaultForbidden", message: "m", remedy: "r", retryable: false });

interface Row {
  name: string;
  state: SecretState;
  at?: number;
  reason: Reason;
  action: "rotate" | "none" | "blocked";
  freshness: Freshness;
}

const table: Row[] = [
  {
    name: "no secret",
    state: { kind: "absent" },
    reason: "SecretMissing",
    action: "rotate",
    freshness: "missing",
  },
  {
    name: "a state that cannot be read is not an absent one",
    state: { kind: "unknown", error: unreadable },
    reason: "StateUnknown",
    action: "blocked",
    freshness: "unknown",
  },
  {
    name: "a disabled version",
    state: present(ourVersion({ enabled: false })),
    reason: "SecretDisabled",
    action: "rotate",
    freshness: "missing",
  },
  {
    name: "somebody else's secret",
    state: present({ name: "app-token", enabled: true, tags: {} }),
    reason: "Blocked",
    action: "blocked",
    freshness: "blocked",
  },
  {
    name: "another rotation's secret",
    state: present(ourVersion({ rotation: "other" })),
    reason: "Blocked",
    action: "blocked",
    freshness: "blocked",
  },
  { name: "a fresh one", state: present(ourVersion()), reason: "Fresh", action: "none", freshness: "fresh" },
  {
    name: "one millisecond before renewal",
    state: present(ourVersion()),
    at: renewal - 1,
    reason: "Fresh",
    action: "none",
    freshness: "fresh",
  },
  {
    name: "at its renewal",
    state: present(ourVersion()),
    at: renewal,
    reason: "NearingExpiry",
    action: "rotate",
    freshness: "due",
  },
  {
    name: "one millisecond before the floor",
    state: present(ourVersion()),
    at: expiry - 22 * minutes - 1,
    reason: "NearingExpiry",
    action: "rotate",
    freshness: "due",
  },
  {
    name: "at the floor",
    state: present(ourVersion()),
    at: expiry - 22 * minutes,
    reason: "NearingExpiry",
    action: "rotate",
    freshness: "stale",
  },
  {
    name: "one millisecond before expiry",
    state: present(ourVersion()),
    at: expiry - 1,
    reason: "NearingExpiry",
    action: "rotate",
    freshness: "stale",
  },
  {
    name: "at expiry",
    state: present(ourVersion()),
    at: expiry,
    reason: "Expired",
    action: "rotate",
    freshness: "expired",
  },
  {
    name: "no expiry at all",
    state: present({ ...ourVersion(), expiresOn: undefined } as never),
    reason: "Expired",
    action: "rotate",
    freshness: "expired",
  },
  {
    name: "laid out by an older configuration",
    state: present(ourVersion({ spec: "spec-0" })),
    reason: "SpecChanged",
    action: "rotate",
    freshness: "due",
  },
  {
    name: "paused until later",
    state: present(ourVersion({ tags: { "paused-until": new Date(renewal + 2).toISOString() } })),
    at: renewal + 1,
    reason: "Paused",
    action: "none",
    freshness: "paused",
  },
  {
    name: "a pause that has ended",
    state: present(ourVersion({ tags: { "paused-until": new Date(renewal + 1).toISOString() } })),
    at: renewal + 1,
    reason: "NearingExpiry",
    action: "rotate",
    freshness: "due",
  },
  {
    name: "a pause that cannot be read still pauses",
    state: present(ourVersion({ tags: { "paused-until": "some day" } })),
    at: renewal,
    reason: "Paused",
    action: "none",
    freshness: "paused",
  },
  {
    name: "a paused one that has expired says so",
    state: present(ourVersion({ tags: { "paused-until": "forever" } })),
    at: expiry,
    reason: "Paused",
    action: "none",
    freshness: "expired",
  },
];

describe("one output", () => {
  for (const { name, state, at = epoch, reason, action, freshness: word } of table) {
    test(`${name}: ${reason}, ${word}`, () => {
      const rotation = aRotation();
      const decision = decide(rotation, new Map([[outputKey(anOutput()), state]]), at, { force: false });
      assert.equal(decision.reason, reason);
      assert.equal(decision.action, action);
      const [output] = decision.outputs;
      assert.ok(output);
      assert.equal(freshness(rotation, decision, output, at), word);
    });
  }
});

describe("a rotation", () => {
  const first = anOutput({ secret: "first" });
  const second = anOutput({ secret: "second" });
  const rotation = aRotation({ outputs: [first, second] });
  const holding = (a: SecretState, b: SecretState) =>
    new Map([
      [outputKey(first), a],
      [outputKey(second), b],
    ]);

  test("whose outputs hold different tokens is brought together", () => {
    const states = holding(
      present(ourVersion({ token: aToken({ text: "old" }) })),
      present(ourVersion({ token: aToken({ text: "new" }) })),
    );
    assert.equal(decide(rotation, states, epoch, { force: false }).reason, "OutputsDiverged");
  });

  test("is told by the most telling of its outputs", () => {
    const states = holding(present(ourVersion({ enabled: false })), { kind: "absent" });
    const decision = decide(rotation, states, epoch, { force: false });
    assert.equal(decision.reason, "SecretMissing");
    assert.deepEqual(
      decision.outputs.map(({ reason }) => reason),
      ["SecretDisabled", "SecretMissing"],
    );
  });

  test("with one foreign output writes none: half of what belongs together is worse", () => {
    const states = holding({ kind: "absent" }, present({ name: "second", enabled: true, tags: {} }));
    const decision = decide(rotation, states, epoch, { force: true });
    assert.equal(decision.action, "blocked");
    assert.equal(decision.detail, "second");
  });

  test("with one unreadable output still renews the other", () => {
    const states = holding({ kind: "unknown", error: unreadable }, { kind: "absent" });
    assert.equal(decide(rotation, states, epoch, { force: false }).action, "rotate");
  });

  test("that is forced mints, unless it is paused, blocked or at fault", () => {
    const fresh = holding(present(ourVersion()), present(ourVersion()));
    assert.equal(decide(rotation, fresh, epoch, { force: true }).reason, "Forced");
    assert.equal(decide({ ...rotation, paused: {} }, fresh, epoch, { force: true }).reason, "Paused");
    assert.equal(
      decide({ ...rotation, paused: { until: epoch } }, fresh, epoch, { force: true }).reason,
      "Forced",
    );
    const faulty = decide({ ...rotation, faults: ["outputs[0].secret: too long"] }, fresh, epoch, {
      force: true,
    });
    assert.equal(faulty.reason, "ConfigurationInvalid");
    assert.equal(faulty.detail, "outputs[0].secret: too long");
  });

  test("adopts a foreign secret only where that is asked for", () => {
    const adopting = aRotation({ outputs: [anOutput({ adopt: true })] });
    const states = new Map([
      [outputKey(anOutput()), present({ name: "app-token", enabled: true, tags: {} })],
    ]);
    assert.equal(decide(adopting, states, epoch, { force: false }).reason, "SpecChanged");
  });
});
