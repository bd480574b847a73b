import assert from "node:assert/strict";
import { test } from "node:test";
import { toRotation, toSource } from "../src/compose.ts";
import { parseConfiguration } from "../src/config/parse.ts";
import { decide, renewAt } from "../src/core/decide.ts";
import { freshness } from "../src/core/freshness.ts";
import { outputKey, type Rotation } from "../src/core/rotation.ts";
import { epoch, hours, minutes, ourVersion, present, vault } from "./builders.ts";

const unused = () => assert.fail("nothing is loaded to decide");

/** One rotation as the defaults make it: tokens of an hour, a tick of 5 minutes, retries of 2, a floor of 22. */
function defaultRotation(): Rotation {
  const source = { kind: "entra", scope: "https://example.org/.default" };
  const text = JSON.stringify({ vault, rotations: { app: { source, outputs: [{ secret: "app-token" }] } } });
  const [rotation] = parseConfiguration(text, { file: "rotations.json", environment: {} }).rotations;
  assert.ok(rotation?.state === "ready");
  return toRotation(rotation, {
    source: (options) => toSource(options, unused),
    consumer: unused,
    probe: unused,
  });
}

test("a rotation that is renewed by the first tick that finds it due was never stale", () => {
  const rotation = defaultRotation();
  const [output] = rotation.outputs;
  assert.ok(output !== undefined);
  const held = ourVersion({ spec: output.spec });
  const states = new Map([[outputKey(output), present(held)]]);
  const healthAt = (now: number) => {
    const decision = decide(rotation, states, now, { force: false });
    const [judged] = decision.outputs;
    assert.ok(judged !== undefined);
    return freshness(rotation, decision, judged, now);
  };
  const due = renewAt(rotation, held);
  assert.ok(due > epoch + 35 * minutes && due <= epoch + 38 * minutes);
  assert.equal(healthAt(due - 1), "fresh");
  assert.equal(healthAt(due), "due");
  assert.equal(healthAt(due + 5 * minutes), "due");
  assert.equal(healthAt(epoch + 45 * minutes - 1), "due");
  assert.equal(healthAt(epoch + 45 * minutes), "stale");
  assert.equal(healthAt(epoch + hours), "expired");
});
