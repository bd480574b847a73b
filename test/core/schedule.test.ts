import assert from "node:assert/strict";
import { test } from "node:test";
import { renewalTime, staleTime } from "../../src/core/schedule.ts";
import { epoch, hours, minutes } from "../builders.ts";

const floorMs = 22 * minutes;
const hour = { issuedOn: epoch, expiresOn: epoch + hours };
const day = { issuedOn: epoch, expiresOn: epoch + 24 * hours };

test("a token is renewed two thirds into its life, or earlier by at most a twentieth of it", () => {
  for (const name of ["a", "b", "oracle-adb", "postgres-mcp"]) {
    const at = renewalTime(name, day, { floorMs });
    assert.ok(at <= epoch + 16 * hours, `${name} is never late`);
    assert.ok(at > epoch + 16 * hours - 1.2 * hours, `${name} is not too early`);
  }
});

test("the floor wins over a third of a short life", () => {
  const at = renewalTime("a", hour, { floorMs });
  assert.ok(at <= epoch + 38 * minutes && at > epoch + 35 * minutes);
});

test("a configured margin replaces the third, but not the floor", () => {
  const generous = renewalTime("a", day, { marginMs: 20 * hours, floorMs });
  assert.ok(generous <= epoch + 4 * hours && generous > epoch + 2.8 * hours);
  const stingy = renewalTime("a", hour, { marginMs: 1 * minutes, floorMs });
  assert.equal(stingy, renewalTime("a", hour, { floorMs }));
});

test("the jitter spreads rotations and is the same every time", () => {
  const times = new Set(
    Array.from({ length: 100 }, (_, index) => renewalTime(`r${index}`, day, { floorMs })),
  );
  assert.ok(times.size > 90);
  assert.equal(renewalTime("r1", day, { floorMs }), renewalTime("r1", day, { floorMs }));
});

test("a version that claims to expire before it was issued is due", () => {
  assert.ok(renewalTime("a", { issuedOn: epoch + hours, expiresOn: epoch }, { floorMs }) <= epoch);
});

test("an output is stale once a renewal at the floor is overdue", () => {
  assert.equal(staleTime(epoch + hours, { floorMs }), epoch + 38 * minutes);
  assert.equal(staleTime(epoch + hours, { floorMs, overdueMs: 7 * minutes }), epoch + 45 * minutes);
});
