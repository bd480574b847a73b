import assert from "node:assert/strict";
import { test } from "node:test";
import { concurrencyLimit, createLane, createRateLimit } from "../../src/core/rateLimit.ts";
import { VirtualClock } from "../virtualClock.ts";

const start = Date.UTC(2026, 0, 1);
const never = new AbortController().signal;

/** How many of the ascending times lie in the busiest window of that length. */
function busiestWindow(times: readonly number[], windowMs: number): number {
  let from = 0;
  let busiest = 0;
  for (const [index, time] of times.entries()) {
    while (time - (times[from] as number) >= windowMs) {
      from += 1;
    }
    busiest = Math.max(busiest, index - from + 1);
  }
  return busiest;
}

test("a thousand callers begin as fast as 300 per 10 s allows, in order, with one sleeper among them", async () => {
  const clock = new VirtualClock(start);
  const limit = createRateLimit({ clock, limit: 300, windowMs: 10_000 });
  const begun: { caller: number; at: number }[] = [];
  const all = Promise.all(
    Array.from({ length: 1_000 }, async (_, caller) => {
      await limit.take(never);
      begun.push({ caller, at: clock.now() - start });
    }),
  );
  await clock.settle();
  assert.equal(begun.length, 300);
  assert.equal(clock.sleeping, 1);
  await clock.run(all);
  assert.deepEqual(
    begun.map(({ caller }) => caller),
    Array.from({ length: 1_000 }, (_, caller) => caller),
  );
  assert.equal(
    busiestWindow(
      begun.map(({ at }) => at),
      10_000,
    ),
    300,
  );
  assert.equal(begun.at(-1)?.at, 30_000);
});

test("the window slides: calls spread over a window free their places one by one", async () => {
  const clock = new VirtualClock(start);
  const limit = createRateLimit({ clock, limit: 3, windowMs: 10_000 });
  const begun: number[] = [];
  const take = async () => {
    await limit.take(never);
    begun.push(clock.now() - start);
  };
  for (const pause of [0, 4_000, 4_000]) {
    await clock.advance(pause);
    await take();
  }
  const waiting = Promise.all([take(), take(), take(), take()]);
  await clock.advance(1_999);
  assert.deepEqual(begun, [0, 4_000, 8_000]);
  await clock.advance(1);
  assert.deepEqual(begun, [0, 4_000, 8_000, 10_000]);
  await clock.run(waiting);
  assert.deepEqual(begun, [0, 4_000, 8_000, 10_000, 14_000, 18_000, 20_000]);
});

test("a caller that aborts leaves the queue and uses nothing up", async () => {
  const clock = new VirtualClock(start);
  const limit = createRateLimit({ clock, limit: 1, windowMs: 10_000 });
  await limit.take(never);
  const controller = new AbortController();
  const reason = new Error("the tick is over");
  const aborted = assert.rejects(limit.take(controller.signal), (error) => error === reason);
  const next = limit.take(never).then(() => clock.now() - start);
  controller.abort(reason);
  await aborted;
  assert.equal(await clock.run(next), 10_000);
  await assert.rejects(limit.take(controller.signal), (error) => error === reason);
});

test("when the last waiting caller aborts, no timer is left behind, and a new one is served", async () => {
  const clock = new VirtualClock(start);
  const limit = createRateLimit({ clock, limit: 1, windowMs: 10_000 });
  await limit.take(never);
  const controller = new AbortController();
  const aborted = assert.rejects(limit.take(controller.signal), { name: "AbortError" });
  await clock.settle();
  assert.equal(clock.sleeping, 1);
  controller.abort();
  // Comes before the limiter has noticed that everybody left.
  const late = limit.take(never).then(() => clock.now() - start);
  await aborted;
  assert.equal(await clock.run(late), 10_000);
  const second = new AbortController();
  const again = assert.rejects(limit.take(second.signal), { name: "AbortError" });
  await clock.settle();
  second.abort();
  await again;
  await clock.settle();
  assert.equal(clock.sleeping, 0);
  assert.equal(await clock.run(limit.take(never).then(() => clock.now() - start)), 20_000);
});

test("a clock that is set back does not block the limiter", async () => {
  const clock = new VirtualClock(start);
  const limit = createRateLimit({ clock, limit: 1, windowMs: 10_000 });
  await limit.take(never);
  clock.set(start - 3_600_000);
  await limit.take(never);
  assert.equal(clock.now(), start - 3_600_000);
});

test("a concurrency limit is kept and used to the full, first come, first served", async () => {
  const clock = new VirtualClock(start);
  const limit = concurrencyLimit(3);
  let running = 0;
  let most = 0;
  const begun: number[] = [];
  await clock.run(
    Promise.all(
      Array.from({ length: 10 }, (_, caller) =>
        limit(async () => {
          begun.push(caller);
          running += 1;
          most = Math.max(most, running);
          await clock.sleep(1_000);
          running -= 1;
        }, never),
      ),
    ),
  );
  assert.equal(most, 3);
  assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(clock.now() - start, 4_000);
});

test("a concurrency limit gives a place back after a failure and after an abort", async () => {
  const limit = concurrencyLimit(1);
  await assert.rejects(
    limit(() => Promise.reject(new Error("failed")), never),
    { message: "failed" },
  );
  const controller = new AbortController();
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const first = limit(() => held, never);
  const second = assert.rejects(
    limit(async () => assert.fail("aborted callers do not run"), controller.signal),
    {
      name: "AbortError",
    },
  );
  const third = limit(async () => "third", never);
  controller.abort();
  await second;
  letGo();
  await first;
  assert.equal(await third, "third");
  assert.equal(await limit(async () => "fourth"), "fourth");
});

test("a lane counts a call against the limit when it begins, not when it queues", async () => {
  const clock = new VirtualClock(start);
  const lane = createLane({ clock, limit: 10, windowMs: 10_000, concurrency: 2 });
  let callMs = 3_000;
  const begun: number[] = [];
  const calls = Promise.all(
    Array.from({ length: 40 }, () =>
      lane.run(async () => {
        begun.push(clock.now() - start);
        await clock.sleep(callMs);
      }, never),
    ),
  );
  // The service is slow at first: had the waiting calls been admitted already, they would all begin now.
  await clock.advance(14_000);
  callMs = 0;
  await clock.run(calls);
  assert.equal(begun.length, 40);
  assert.equal(busiestWindow(begun, 10_000), 10);
});

test("a paused lane begins nothing; the longest pause counts", async () => {
  const clock = new VirtualClock(start);
  const lane = createLane({ clock, limit: 10, windowMs: 10_000, concurrency: 2 });
  lane.pause(2_000);
  lane.pause(1_000);
  const begun = await clock.run(lane.run(async () => clock.now() - start, never));
  assert.equal(begun, 2_000);
  const controller = new AbortController();
  lane.pause(60_000);
  const aborted = assert.rejects(
    lane.run(async () => assert.fail("paused"), controller.signal),
    {
      name: "AbortError",
    },
  );
  await clock.settle();
  controller.abort();
  await aborted;
});
