import assert from "node:assert/strict";
import { test } from "node:test";
import { type RetryOptions, retry } from "../../src/core/retry.ts";
import { problems, RotatorError } from "../../src/errors.ts";
import { VirtualClock } from "../virtualClock.ts";

const { Later, Never } = problems({
  Later: { message: "Not now.", remedy: "Wait.", retryable: true },
  Never: { message: "Not ever.", remedy: "Mend it.", retryable: false },
});
const never = new AbortController().signal;
const start = Date.UTC(2026, 0, 1);

/** Fails `failures` times, then succeeds; notes when each try began, in milliseconds from the start. */
function failing(clock: VirtualClock, failures: number, error = () => new RotatorError(Later)) {
  const tries: number[] = [];
  return {
    tries,
    operation: async (attempt: number) => {
      tries.push(clock.now() - start);
      assert.equal(attempt, tries.length);
      if (attempt <= failures) {
        throw error();
      }
      return "done";
    },
  };
}

function options(clock: VirtualClock, budgetMs: number, more: Partial<RetryOptions> = {}): RetryOptions {
  return {
    clock,
    context: { signal: never, giveUpAt: clock.now() + budgetMs },
    jitter: () => 0,
    ...more,
  };
}

test("waits double from 1 s to 16 s and stay there", async () => {
  const clock = new VirtualClock(start);
  const { operation, tries } = failing(clock, 7);
  assert.equal(await clock.run(retry(operation, options(clock, 600_000))), "done");
  assert.deepEqual(
    tries,
    [0, 1, 3, 7, 15, 31, 47, 63].map((seconds) => seconds * 1000),
  );
});

for (const { name, retryAfterMs, jitter, waitMs } of [
  {
    name: "the longer of back-off and Retry-After: Retry-After",
    retryAfterMs: 1_001,
    jitter: 0,
    waitMs: 1_001,
  },
  { name: "the longer of back-off and Retry-After: back-off", retryAfterMs: 999, jitter: 0, waitMs: 1_000 },
  { name: "a Retry-After of 0 does not make it hurry", retryAfterMs: 0, jitter: 0, waitMs: 1_000 },
  {
    name: "jitter shortens a back-off by a quarter at most",
    retryAfterMs: undefined,
    jitter: 0.9999,
    waitMs: 750,
  },
  { name: "jitter never shortens what was asked for", retryAfterMs: 5_000, jitter: 0.9999, waitMs: 5_250 },
]) {
  test(`first wait: ${name}`, async () => {
    const clock = new VirtualClock(start);
    const { operation, tries } = failing(
      clock,
      1,
      () => new RotatorError(Later, retryAfterMs === undefined ? {} : { retryAfterMs }),
    );
    await clock.run(retry(operation, options(clock, 60_000, { jitter: () => jitter })));
    assert.deepEqual(tries, [0, waitMs]);
  });
}

for (const { budgetMs, tries: expected } of [
  { budgetMs: -1, tries: [0] },
  { budgetMs: 999, tries: [0] },
  { budgetMs: 1_000, tries: [0, 1_000] },
  { budgetMs: 2_999, tries: [0, 1_000] },
  { budgetMs: 3_000, tries: [0, 1_000, 3_000] },
]) {
  test(`no try begins after giveUpAt: a budget of ${budgetMs} ms`, async () => {
    const clock = new VirtualClock(start);
    const { operation, tries } = failing(clock, 100);
    const error = await clock.run(
      assert.rejects(retry(operation, options(clock, budgetMs)), { code: "Later" }),
    );
    assert.equal(error, undefined);
    assert.deepEqual(tries, expected);
    assert.equal(clock.now() - start, expected.at(-1), "it gives up at once instead of waiting for nothing");
  });
}

test("a Retry-After beyond giveUpAt gives up at once", async () => {
  const clock = new VirtualClock(start);
  const { operation, tries } = failing(clock, 1, () => new RotatorError(Later, { retryAfterMs: 60_001 }));
  await assert.rejects(retry(operation, options(clock, 60_000)), { code: "Later", retryAfterMs: 60_001 });
  assert.deepEqual(tries, [0]);
});

test("the error that is given up on tells how many tries it took", async () => {
  const clock = new VirtualClock(start);
  const { operation } = failing(clock, 100);
  await clock.run(assert.rejects(retry(operation, options(clock, 7_000)), { attempts: 4 }));
  await assert.rejects(
    retry(failing(clock, 1, () => new RotatorError(Never)).operation, options(clock, 7_000)),
    {
      attempts: 1,
    },
  );
});

test("an inner retry's count is kept by an outer one", async () => {
  const clock = new VirtualClock(start);
  const { operation } = failing(clock, 100);
  const inner = options(clock, 7_000);
  const outer = options(clock, 7_000);
  await clock.run(
    assert.rejects(
      retry(() => retry(operation, inner), outer),
      { attempts: 4 },
    ),
  );
});

test("what is not retryable, or not ours, ends it at once", async () => {
  const clock = new VirtualClock(start);
  const foreign = new TypeError("a defect");
  for (const error of [new RotatorError(Never), foreign]) {
    let tries = 0;
    const operation = async () => {
      tries += 1;
      throw error;
    };
    await assert.rejects(retry(operation, options(clock, 60_000)), (thrown) => thrown === error);
    assert.equal(tries, 1);
  }
});

test("onRetry hears of every wait before it begins", async () => {
  const clock = new VirtualClock(start);
  const heard: unknown[] = [];
  const { operation } = failing(clock, 2);
  const onRetry: RetryOptions["onRetry"] = (error, attempt, waitMs) =>
    heard.push([error.code, attempt, waitMs, clock.now() - start]);
  await clock.run(retry(operation, options(clock, 60_000, { onRetry })));
  assert.deepEqual(heard, [
    ["Later", 1, 1_000, 0],
    ["Later", 2, 2_000, 1_000],
  ]);
});

test("an aborted signal ends a wait with its reason", async () => {
  const clock = new VirtualClock(start);
  const controller = new AbortController();
  const reason = new Error("the tick is over");
  const { operation, tries } = failing(clock, 100);
  const context = { signal: controller.signal, giveUpAt: start + 60_000 };
  const rejected = assert.rejects(
    retry(operation, options(clock, 0, { context })),
    (error) => error === reason,
  );
  await clock.settle();
  assert.equal(clock.sleeping, 1);
  controller.abort(reason);
  await rejected;
  assert.equal(clock.sleeping, 0);
  assert.deepEqual(tries, [0]);
});

test("a signal that aborted before, or during a try, wins over the error", async () => {
  const clock = new VirtualClock(start);
  const reason = new Error("the tick is over");
  const isReason = (error: unknown) => error === reason;
  let tries = 0;
  const before = { signal: AbortSignal.abort(reason), giveUpAt: start + 60_000 };
  await assert.rejects(
    retry(
      async () => {
        tries += 1;
      },
      options(clock, 0, { context: before }),
    ),
    isReason,
  );
  assert.equal(tries, 0);

  const controller = new AbortController();
  const during = { signal: controller.signal, giveUpAt: start + 60_000 };
  await assert.rejects(
    retry(
      async () => {
        controller.abort(reason);
        throw new RotatorError(Later);
      },
      options(clock, 0, { context: during }),
    ),
    isReason,
  );
});

test("without injected jitter, callers that fail together come back apart, and equal runs are equal", async () => {
  async function run(): Promise<number[]> {
    const clock = new VirtualClock(start);
    const context = { signal: never, giveUpAt: start + 60_000 };
    const callers = Array.from({ length: 100 }, () => failing(clock, 1));
    await clock.run(Promise.all(callers.map(({ operation }) => retry(operation, { clock, context }))));
    return callers.map(({ tries }) => tries[1] as number);
  }
  const waits = await run();
  assert.ok(
    waits.every((ms) => ms > 750 && ms <= 1_000),
    String(waits),
  );
  assert.ok(new Set(waits).size > 90, `only ${new Set(waits).size} of 100 waits differ`);
  assert.deepEqual(await run(), waits);
});
