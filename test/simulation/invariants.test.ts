import assert from "node:assert/strict";
import { test } from "node:test";
import type { Outcome, Reason } from "../../src/events.ts";
import { failureReported } from "../../src/simulation/invariants.ts";

for (const [outcome, reason, said] of [
  ["Rotated", "NearingExpiry", undefined],
  // Published, and what runs is being replaced.
  ["RestartPending", "NearingExpiry", undefined],
  // Published by an earlier tick: this one should have renewed it.
  ["RestartPending", "Fresh", "said nothing of token (endangered)"],
  ["SourceUnchanged", "NearingExpiry", "said nothing of token (endangered)"],
] as const satisfies readonly (readonly [Outcome, Reason, string | undefined])[]) {
  test(`an endangered token after ${outcome} for ${reason}: ${said ?? "nothing is kept quiet"}`, () => {
    const properties = { rotation: "r", outcome, reason, durationMs: 0 };
    assert.equal(
      failureReported({
        kind: "tickEnded",
        rotation: "r",
        events: [{ name: "RotationSucceeded", properties }],
        paused: false,
        clear: true,
        outputs: [{ output: "token", state: "endangered", latest: false }],
        consumers: [],
        writtenInVain: [],
        refreshTokenLost: false,
      }),
      said,
    );
  });
}
