import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RotatorError } from "../../src/errors.ts";
import type { Consumer, ConsumerReport, WantedSecret } from "../../src/ports.ts";
import { anOutput, aRotation, aSource, aToken, epoch, hours, minutes } from "../builders.ts";
import { TestEngine } from "../fakes/engine.ts";

const done: ConsumerReport = { state: "current", behind: [], updated: 0, restarted: false };

/** A target that notes what it is asked to hold. */
class RecordingConsumer implements Consumer {
  readonly kind = "test";
  readonly target = "/apps/one";
  readonly asked: (readonly WantedSecret[])[] = [];
  report: ConsumerReport = done;
  fail: Error | undefined;

  async inspect() {
    return this.report;
  }

  async reconcile(wanted: readonly WantedSecret[]): Promise<ConsumerReport> {
    this.asked.push(wanted);
    if (this.fail !== undefined) {
      throw this.fail;
    }
    return this.report;
  }
}

const context = { signal: new AbortController().signal, giveUpAt: epoch + hours };

function fed(consumer: Consumer, name: string) {
  return aRotation({
    name,
    sources: [aSource(async () => aToken({ text: `token-of-${name}` }), { key: name })],
    outputs: [anOutput({ secret: name })],
    consumers: [{ consumer, output: name, secret: `app-${name}` }],
  });
}

describe("consumers", () => {
  test("one target is served once, with what every rotation feeds it", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    consumer.report = { ...done, updated: 2, restarted: true };
    const { rotations } = await engine.tick([fed(consumer, "a"), fed(consumer, "b")]);
    assert.equal(consumer.asked.length, 1);
    assert.deepEqual(
      consumer.asked[0]?.map(({ rotation, secret, operation }) => [rotation, secret, operation]),
      [
        ["a", "app-a", "operation-1"],
        ["b", "app-b", "operation-1"],
      ],
    );
    assert.deepEqual(
      rotations.map(({ outcome }) => outcome),
      ["Rotated", "Rotated"],
    );
    assert.equal(engine.telemetry.of("ConsumerUpdated").length, 1);
  });

  test("what was written in the tick is not read back", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    await engine.tick([fed(consumer, "a")]);
    const [wanted] = consumer.asked[0] ?? [];
    assert.equal((await wanted?.load(context))?.reveal(), "token-of-a");
    assert.equal(await wanted?.version(context), engine.store.versions("a")[0]?.properties.version);
    assert.deepEqual(engine.store.calls, ["inspect", "write:a"]);
  });

  test("what an earlier tick wrote is read, and its version is found without reading it", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    await engine.tick([fed(consumer, "a")]);
    await engine.tick([fed(consumer, "a")]);
    const [wanted] = consumer.asked[1] ?? [];
    assert.equal(await wanted?.version(context), engine.store.versions("a")[0]?.properties.version);
    assert.deepEqual(engine.store.calls.slice(2), ["inspect", "listVersions:a"]);
    assert.equal((await wanted?.load(context))?.reveal(), "token-of-a");
  });

  test("a version that has moved on meanwhile is left to the next tick", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    await engine.tick([fed(consumer, "a")]);
    await engine.tick([fed(consumer, "a")]);
    const [wanted] = consumer.asked[1] ?? [];
    engine.store.seed("a", { value: aToken().value, properties: { tags: { operation: "somebody-else" } } });
    await assert.rejects(async () => wanted?.load(context), { code: "VersionMoved" });
  });

  test("a rotation without a version leaves the consumer's secret as it is", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    const broken = {
      ...fed(consumer, "a"),
      sources: [
        aSource(async () => {
          throw new RotatorError({ code: "NoLuck", message: "m", remedy: "r", retryable: false });
        }),
      ],
    };
    await engine.tick([broken, fed(consumer, "b")]);
    assert.deepEqual(
      consumer.asked[0]?.map(({ secret }) => secret),
      ["app-b"],
    );
  });

  for (const [report, outcome] of [
    [{ ...done, updated: 1, restarted: true }, "Propagated"],
    [{ ...done, state: "restarting" as const }, "RestartPending"],
    [done, "Fresh"],
  ] as const) {
    test(`a consumer that is ${report.state} (${report.updated} updated) makes a fresh rotation ${outcome}`, async () => {
      const engine = new TestEngine();
      const consumer = new RecordingConsumer();
      await engine.tick([fed(consumer, "a")]);
      consumer.report = report;
      const { rotations } = await engine.tick([fed(consumer, "a")]);
      assert.equal(rotations[0]?.outcome, outcome);
    });
  }

  test("a consumer that throws fails its rotations and no others; the vault write stands", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    consumer.fail = new Error("out of the blue");
    const { rotations } = await engine.tick([fed(consumer, "a"), aRotation()]);
    assert.deepEqual(
      rotations.map(({ outcome, error }) => [outcome, error?.code, error?.stage]),
      [
        ["RestartFailed", "Unexpected", "propagate"],
        ["Rotated", undefined, undefined],
      ],
    );
    assert.equal(engine.store.versions("a").length, 1);
    assert.equal(engine.telemetry.of("ConsumerFailed")[0]?.state, "failed");
  });

  test("a slow rotation holds up no target that it does not feed", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    const slow = aRotation({
      name: "slow",
      sources: [
        aSource(
          async () => {
            await engine.clock.sleep(20_000);
            return aToken();
          },
          { key: "slow" },
        ),
      ],
      outputs: [anOutput({ secret: "slow" })],
    });
    const tick = engine.tick([slow, fed(consumer, "a")]);
    await engine.clock.settle();
    assert.equal(consumer.asked.length, 1);
    assert.ok(engine.clock.now() < epoch + minutes);
    await tick;
  });

  test("a target that the deadline cut off is reported as not reached, and only to those who feed it", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    consumer.reconcile = () => new Promise(() => {});
    const { rotations, targets } = await engine.tick([fed(consumer, "a"), aRotation()], {
      deadlineMs: 10_000,
    });
    assert.deepEqual(
      rotations.map(({ outcome, error }) => [outcome, error?.code, error?.stage]),
      [
        ["NotReached", "NotReached", "propagate"],
        ["Rotated", undefined, undefined],
      ],
    );
    assert.deepEqual(targets, []);
    assert.equal(engine.store.versions("a").length, 1);
    assert.equal(engine.telemetry.of("TickCompleted")[0]?.notReached, 1);
  });

  test("a target that failed without saying why has failed all the same", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    consumer.report = { ...done, state: "failed" };
    const { rotations } = await engine.tick([fed(consumer, "a")]);
    assert.equal(rotations[0]?.outcome, "RestartFailed");
  });

  test("a paused rotation is not propagated", async () => {
    const engine = new TestEngine();
    const consumer = new RecordingConsumer();
    await engine.tick([fed(consumer, "a")]);
    await engine.tick([{ ...fed(consumer, "a"), paused: {} }]);
    assert.equal(consumer.asked.length, 1);
  });
});
