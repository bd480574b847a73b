import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { VirtualClock } from "./virtualClock.ts";

test("sleepers wake in the order of their times, those of one time in the order in which they fell asleep", async () => {
  const clock = new VirtualClock(0);
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number) => {
    await clock.sleep(ms);
    woken.push(`${name}@${clock.now()}`);
  };
  const times = [500, 100, 300, 100, 0, 400, 200, 300, -5];
  const all = Promise.all(times.map((ms, index) => sleeper(`s${index}`, ms)));
  await clock.advance(299);
  assert.deepEqual(woken, ["s4@0", "s8@0", "s1@100", "s3@100", "s6@200"]);
  assert.equal(clock.now(), 299);
  assert.equal(clock.sleeping, 4);
  await clock.advance(1);
  assert.deepEqual(woken.slice(5), ["s2@300", "s7@300"]);
  await clock.run(all);
  assert.equal(clock.now(), 500);
  assert.equal(clock.sleeping, 0);
});

test("what a sleeper sets off has run before the next one wakes, new sleepers included", async () => {
  const clock = new VirtualClock(0);
  const steps: string[] = [];
  const worker = async (name: string, ms: number) => {
    for (let step = 1; step <= 3; step += 1) {
      await clock.sleep(ms);
      for (let hop = 0; hop < 20; hop += 1) {
        await Promise.resolve();
      }
      steps.push(`${name}${step}@${clock.now()}`);
    }
  };
  const all = Promise.all([worker("a", 100), worker("b", 150)]);
  await clock.advance(1_000);
  await all;
  // At 300 both are due; b fell asleep at 150, a at 200.
  assert.deepEqual(steps, ["a1@100", "b1@150", "a2@200", "b2@300", "a3@300", "b3@450"]);
});

test("many sleepers with random times wake in order", async () => {
  const clock = new VirtualClock(0);
  let seed = 1;
  const woken: number[] = [];
  const all = Promise.all(
    Array.from({ length: 5_000 }, async () => {
      seed = (seed * 48_271) % 2_147_483_647;
      await clock.sleep(seed % 1_000);
      woken.push(clock.now());
    }),
  );
  await clock.run(all);
  assert.equal(woken.length, 5_000);
  assert.deepEqual(
    woken,
    woken.toSorted((a, b) => a - b),
  );
});

test("an aborted sleep rejects with the reason at once and is forgotten", async () => {
  const clock = new VirtualClock(0);
  const reason = new Error("enough");
  const controller = new AbortController();
  const sleep = clock.sleep(1_000, controller.signal);
  assert.equal(clock.nextDueAt, 1_000);
  controller.abort(reason);
  await assert.rejects(sleep, (error) => error === reason);
  assert.equal(clock.sleeping, 0);
  assert.equal(clock.nextDueAt, undefined);
  await assert.rejects(clock.sleep(1_000, controller.signal), (error) => error === reason);
  assert.equal(clock.now(), 0);
});

test("run waits for input and output where nobody sleeps, and lets time pass where somebody does", async () => {
  const clock = new VirtualClock(0);
  const result = await clock.run(
    (async () => {
      await clock.sleep(1_000);
      await setImmediate();
      await setImmediate();
      await clock.sleep(2_000);
      return "done";
    })(),
  );
  assert.equal(result, "done");
  assert.equal(clock.now(), 3_000);
  await assert.rejects(clock.run(Promise.reject(new Error("failed"))), { message: "failed" });
});

test("set moves the time in either direction; a sleeper that is overdue does not turn it back", async () => {
  const clock = new VirtualClock(10_000);
  const sleep = clock.sleep(1_000);
  clock.set(60_000);
  await clock.run(sleep);
  assert.equal(clock.now(), 60_000);
  clock.set(5_000);
  assert.equal(clock.now(), 5_000);
});
