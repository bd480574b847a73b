import assert from "node:assert/strict";
import { test } from "node:test";
import { Runner } from "../../src/app/runner.ts";
import type { EventName } from "../../src/events.ts";
import type { Log } from "../../src/telemetry/logTelemetry.ts";
import { aSource, aToken, epoch, hours, minutes } from "../builders.ts";
import { Scene } from "../http/scene.ts";
import { VirtualClock } from "../virtualClock.ts";

const lines: string[] = [];
const log: Log = (level, line) => lines.push(`${level} ${line}`);
const invocation = { invocationId: "an-invocation", log };

/** A rotation whose source waits until it is let go. */
function held(scene: Scene) {
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  let mints = 0;
  scene.add("held", {
    sources: [
      aSource(async () => {
        mints += 1;
        asked.resolve();
        await gate.promise;
        return aToken({ expiresOn: new Date(epoch + hours) });
      }),
    ],
  });
  return { open: () => gate.resolve(), asked: asked.promise, mints: () => mints };
}

test("there is never more than one tick: whoever asks meanwhile is refused, the timer waits", async () => {
  const scene = new Scene();
  const { open, asked, mints } = held(scene);
  const first = scene.runner.tickNow({}, invocation);
  await asked;
  await assert.rejects(scene.runner.tickNow({ names: ["held"] }, invocation), { code: "TickRunning" });

  const timers = [1, 2].map(() => scene.runner.runTick({ pastDue: false, ...invocation }));
  await scene.engine.clock.settle();
  assert.equal(scene.engine.telemetry.of("TickCompleted").length, 0);
  open();
  await Promise.all([first, ...timers]);
  assert.equal(scene.engine.telemetry.of("TickCompleted").length, 3);
  // The others found it fresh.
  assert.equal(mints(), 1);
  assert.equal(scene.engine.store.versions("held-token").length, 1);
});

test("the timer's tick comes although the one it waited for failed", async () => {
  const scene = new Scene();
  scene.add("app");
  scene.loadError = new TypeError("no configuration");
  const failing = scene.runner.tickNow({}, invocation);
  const timer = scene.runner.runTick({ pastDue: false, ...invocation });
  scene.loadError = undefined;
  await assert.rejects(failing, { code: "Unexpected" });
  await timer;
  assert.equal(scene.engine.telemetry.of("TickFailed")[0]?.stage, "configure");
  assert.equal(scene.engine.telemetry.of("TickCompleted").length, 1);
});

test("a sink that is down or never ends hides nothing of a tick that could not begin", async (t) => {
  // The one signal on real time.
  t.mock.method(AbortSignal, "timeout", () => {
    const timeIsUp = new AbortController();
    setImmediate(() => timeIsUp.abort());
    return timeIsUp.signal;
  });
  for (const flush of [() => Promise.reject(new Error("down")), () => new Promise<void>(() => {})]) {
    const heard: EventName[] = [];
    const runner = new Runner({
      clock: new VirtualClock(),
      telemetry: () => ({ event: ({ name }) => void heard.push(name), metric: () => {}, flush }),
      load: () => Promise.reject(new TypeError("no configuration")),
    });
    await assert.rejects(runner.runTick({ pastDue: false, ...invocation }), {
      code: "Unexpected",
      stage: "configure",
    });
    assert.deepEqual(heard, ["TickFailed"]);
  }
});

test("the timer's tick fails when a rotation failed, and says which", async () => {
  const scene = new Scene();
  scene.add("good");
  scene.add("bad", {
    sources: [
      aSource(async () => {
        throw new TypeError("canary-7f3a");
      }),
    ],
  });
  lines.length = 0;
  await assert.rejects(scene.runner.runTick({ pastDue: true, ...invocation }), {
    code: "RotationsFailed",
    facts: { failed: 1 },
  });
  assert.equal(scene.engine.store.versions("good-token").length, 1);
  assert.deepEqual(
    lines.filter((line) => line.startsWith("error")).map((line) => line.slice(0, 23)),
    ["error bad: Unexpected: "],
  );
  assert.doesNotMatch(lines.join(), /canary-7f3a/);
  assert.equal(scene.engine.telemetry.of("TickCompleted")[0]?.pastDue, true);
});

test("a tick of all rotations is the last tick; one of a single rotation is not", async () => {
  const scene = new Scene();
  scene.add("app");
  assert.deepEqual(scene.runner.health(), { alive: true });
  await scene.runner.tickNow({ names: ["app"], force: true }, invocation);
  assert.deepEqual(scene.runner.health(), { alive: true });
  await scene.runner.tickNow({}, invocation);
  assert.deepEqual(scene.runner.health(), { alive: true, lastTick: "2026-01-01T00:00:00.000Z" });
});

test("those who look within five seconds share one look, until a tick has changed what there is to see", async () => {
  const scene = new Scene();
  scene.add("app");
  const looks = () => scene.engine.store.calls.filter((call) => call === "inspect").length;
  const freshness = async () => (await scene.runner.survey()).rotations[0]?.decision.reason;
  assert.deepEqual(await Promise.all([freshness(), freshness()]), ["SecretMissing", "SecretMissing"]);
  await scene.engine.clock.advance(4_999);
  await freshness();
  assert.equal(looks(), 1);
  await scene.engine.clock.advance(1);
  await freshness();
  assert.equal(looks(), 2);
  await scene.runner.tickNow({}, invocation);
  assert.equal(looks(), 3);
  assert.equal(await freshness(), "Fresh");
  assert.equal(looks(), 4);
});

test("a look that failed is not shared with those who ask later", async () => {
  const scene = new Scene();
  scene.add("app");
  scene.loadError = new TypeError("no configuration");
  await assert.rejects(scene.runner.survey());
  scene.loadError = undefined;
  assert.equal((await scene.runner.survey()).rotations.length, 1);
  await assert.rejects(scene.runner.survey("other"), { code: "RotationUnknown" });
});

test("a look ends after 30 seconds, by name", async () => {
  const scene = new Scene();
  scene.add("app");
  scene.engine.store.inspect = () => new Promise(() => {});
  const tooSlow = { code: "LookTooSlow", retryable: true };
  const look = assert.rejects(scene.runner.survey(), tooSlow);
  await scene.engine.clock.advance(29_999);
  // Whoever comes meanwhile waits for the same.
  const another = assert.rejects(scene.runner.survey(), tooSlow);
  assert.equal(scene.engine.clock.sleeping, 1);
  await scene.engine.clock.advance(1);
  await Promise.all([look, another]);
});

test("what ticks came to is remembered for as long as the process lives", async () => {
  const scene = new Scene();
  let broken = false;
  scene.add("app", {
    sources: [
      aSource(async () => {
        if (broken) {
          throw new TypeError("no");
        }
        const now = scene.engine.clock.now();
        return aToken({ text: `token-${now}`, expiresOn: new Date(now + hours) });
      }),
    ],
  });
  const { history } = scene.runner;
  assert.equal(history.latest("app"), undefined);
  await scene.runner.tickNow({}, invocation);
  assert.deepEqual(history.latest("app"), { at: epoch, outcome: "Rotated" });
  scene.engine.clock.set(epoch + 5 * minutes);
  await scene.runner.tickNow({}, invocation);
  assert.equal(history.latest("app")?.at, epoch);
  broken = true;
  scene.engine.clock.set(epoch + 40 * minutes);
  await scene.runner.tickNow({}, invocation);
  broken = false;
  await scene.runner.tickNow({ force: true }, invocation);
  assert.deepEqual(history.failures.get("app"), {
    at: epoch + 40 * minutes,
    outcome: "Failed",
    code: "Unexpected",
  });
  assert.deepEqual(Object.fromEntries(history.counts), { Rotated: 2, Fresh: 1, Failed: 1 });
});
