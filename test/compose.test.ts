import assert from "node:assert/strict";
import { test } from "node:test";
import { lazySources, type MakeSource, toRotation } from "../src/compose.ts";
import { parseConfiguration } from "../src/config/parse.ts";
import { decide, renewAt } from "../src/core/decide.ts";
import { freshness } from "../src/core/freshness.ts";
import { outputKey, type Rotation } from "../src/core/rotation.ts";
import { epoch, hours, minutes, ourVersion, present, vault } from "./builders.ts";

const unused = () => assert.fail("nothing is loaded to decide");

/** Rotations as the defaults make them: tokens of an hour, a tick of 5 minutes, retries of 2, a floor of 22. */
function defaultRotations(names: readonly string[], make: MakeSource = unused): Rotation[] {
  const source = { kind: "entra", scope: "https://example.org/.default" };
  const rotations = Object.fromEntries(
    names.map((name) => [name, { source, outputs: [{ secret: `${name}-token` }] }]),
  );
  const text = JSON.stringify({ vault, rotations });
  const configuration = parseConfiguration(text, { file: "rotations.json", environment: {} });
  assert.deepEqual(configuration.problems, []);
  return configuration.rotations.map((rotation) =>
    toRotation(rotation, { sources: lazySources(make), consumer: unused, probe: unused }),
  );
}

test("a rotation that is renewed by the first tick that finds it due was never stale", () => {
  const [rotation] = defaultRotations(["app"]);
  assert.ok(rotation !== undefined);
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

test("a source is made for its rotation when it is first asked for, once, and again where that failed", async () => {
  const made: string[] = [];
  const source = { mint: unused };
  const [a, b] = defaultRotations(["a", "b"], async ({ kind }, rotation) => {
    made.push(`${kind} of ${rotation}`);
    if (made.length === 1) {
      throw new Error("not yet");
    }
    return source;
  });
  const [binding] = a?.sources ?? [];
  assert.ok(binding !== undefined);
  assert.deepEqual([binding.kind, binding.key], ["entra", b?.sources[0]?.key]);
  assert.deepEqual(made, []);
  await assert.rejects(binding.load(), /not yet/);
  assert.deepEqual(await Promise.all([binding.load(), binding.load()]), [source, source]);
  await b?.sources[0]?.load();
  assert.deepEqual(made, ["entra of a", "entra of a", "entra of b"]);
});

test("outputs with equal formats share one", async () => {
  const [a, b] = defaultRotations(["a", "b"]);
  assert.equal(await a?.outputs[0]?.load(), await b?.outputs[0]?.load());
});
