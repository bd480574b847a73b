import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseConfiguration } from "../../../src/config/parse.ts";
import { tagNames } from "../../../src/core/tags.ts";
import type { PulledFile } from "../../../src/delivery/files/pull.ts";
import { type PullTarget, targetsOf } from "../../../src/delivery/files/targets.ts";
import { nextLook, watchFiles } from "../../../src/delivery/files/watch.ts";
import { RotatorError } from "../../../src/errors.ts";
import type { Clock } from "../../../src/ports.ts";
import { SecretValue } from "../../../src/secretValue.ts";
import { epoch, hours, minutes, seconds, vault } from "../../builders.ts";
import { MemoryStore } from "../../fakes/memoryStore.ts";
import { fc } from "../../properties.ts";
import { quickFileSystem, temporaryDirectory } from "./scene.ts";

/** Nobody waits: a sleep is over at once, and so much later. */
class SkippingClock implements Clock {
  time = epoch;
  readonly sleeps: number[] = [];
  now(): number {
    return this.time;
  }
  async sleep(ms: number): Promise<void> {
    this.sleeps.push(ms);
    this.time += ms;
  }
}

class Watch {
  readonly clock = new SkippingClock();
  readonly store = new MemoryStore(vault, this.clock);
  readonly rounds: { at: number; pulled: readonly PulledFile[] }[] = [];
  readonly #home: string;
  /** What becomes of telling others; by default all is well. */
  tell: (pulled: readonly PulledFile[]) => ReadonlySet<PullTarget> = () => new Set();

  constructor(home: string) {
    this.#home = home;
  }

  seed(text: string, issued = this.clock.now(), lifetime = hours): void {
    const tags = { [tagNames.token]: text, [tagNames.issued]: new Date(issued).toISOString() };
    const expiresOn = new Date(issued + lifetime);
    this.store.seed("token", { value: new SecretValue(text), properties: { expiresOn, tags } });
  }

  /** Runs until the given time; `events` happen when the vault is first asked after theirs. */
  async run(until: number, events: readonly { at: number; happen: () => void }[] = []): Promise<void> {
    const stop = new AbortController();
    const left = [...events];
    const fail = this.store.fail;
    this.store.fail = (call) => {
      while (left[0] !== undefined && left[0].at <= this.clock.now()) {
        left.shift()?.happen();
      }
      return this.failing ?? fail(call);
    };
    await watchFiles({
      targets: this.targets(),
      environment: { storeOf: () => this.store, fs: quickFileSystem(), clock: this.clock },
      signal: stop.signal,
      jitter: () => 0.5,
      onPulled: async (pulled) => {
        this.rounds.push({ at: this.clock.now(), pulled });
        if (this.clock.now() >= until) {
          stop.abort();
        }
        return this.tell(pulled);
      },
    });
  }

  failing: Error | undefined;

  breakDown(error: Error): void {
    this.failing = error;
  }

  targets(): readonly PullTarget[] {
    const rotation = {
      source: { kind: "entra", scope: "api://app/.default" },
      outputs: [{ secret: "token" }],
      files: [{ kind: "file", output: "token", path: "~/token" }],
    };
    const document = JSON.stringify({ vault, rotations: { app: rotation } });
    const configuration = parseConfiguration(document, {
      file: join(this.#home, "rotations.json"),
      environment: {},
    });
    return targetsOf(configuration, [], this.#home).targets;
  }

  /** Minutes after the start at which it looked. */
  get looks(): number[] {
    return this.rounds.map(({ at }) => (at - epoch) / minutes);
  }
}

describe("watching", () => {
  test("looks when a new version is due, not before, and then until it is there", async () => {
    await using directory = await temporaryDirectory();
    const watch = new Watch(directory.path);
    watch.seed("first");
    // Renewal of an hour's token comes after some 38 minutes; this rotator is late.
    await watch.run(epoch + 60 * minutes, [{ at: epoch + 42 * minutes, happen: () => watch.seed("second") }]);
    const [first, second = 0] = watch.looks;
    assert.equal(first, 0);
    assert.ok(second > 36 && second < 41, `the second look came after ${second} minutes`);
    const changes = watch.rounds
      .filter(({ pulled }) => pulled[0]?.changed)
      .map(({ at }) => (at - epoch) / minutes);
    assert.equal(changes.length, 2);
    assert.ok((changes[1] ?? 0) >= 42 && (changes[1] ?? 0) < 43.5, "it is seen within about a minute");
    assert.equal(await readFile(join(directory.path, "token"), "utf8"), "second");
    assert.ok(watch.rounds.length < 12, `${watch.rounds.length} looks`);
  });

  test("never sleeps long at a time: a laptop that was shut has a clock that jumps", async () => {
    await using directory = await temporaryDirectory();
    const watch = new Watch(directory.path);
    watch.seed("first", epoch, 24 * hours);
    await watch.run(epoch + 3 * hours);
    assert.ok(watch.clock.sleeps.every((ms) => ms <= minutes));
    assert.deepEqual(
      watch.looks.map((at) => Math.floor(at / 60)),
      [0, 1, 2, 3],
      "an hour is the longest between two looks",
    );
  });

  test("keeps the file while the vault is out of reach, asks ever less often, and goes on by itself", async () => {
    await using directory = await temporaryDirectory();
    const watch = new Watch(directory.path);
    watch.seed("first");
    const unreachable = new RotatorError({
      code: "VaultUnreachable",
      message: "No.",
      remedy: "Wait.",
      retryable: true,
    });
    await watch.run(epoch + 3 * hours, [
      { at: epoch + 30 * minutes, happen: () => watch.breakDown(unreachable) },
      {
        at: epoch + 2 * hours,
        happen: () => {
          watch.failing = undefined;
          watch.seed("second");
        },
      },
    ]);
    const failed = watch.rounds.filter(({ pulled }) => pulled[0]?.error !== undefined);
    assert.ok(failed.length >= 10 && failed.length <= 20, `${failed.length} looks in 80 minutes`);
    const gaps = failed.slice(1).map(({ at }, index) => at - (failed[index]?.at ?? 0));
    assert.ok(
      gaps.every((gap, index) => index === 0 || gap >= (gaps[index - 1] ?? 0)),
      "the gaps grow",
    );
    assert.equal(await readFile(join(directory.path, "token"), "utf8"), "second");
  });

  test("a change that could not be passed on is looked at again soon, and not for ever", async () => {
    await using directory = await temporaryDirectory();
    const watch = new Watch(directory.path);
    watch.seed("first");
    let failures = 2;
    watch.tell = (pulled) => new Set(failures-- > 0 ? pulled.map(({ target }) => target) : []);
    await watch.run(epoch + 30 * minutes);
    const [, second = 0, third = 0, fourth = 0] = watch.looks;
    assert.ok(second < 2 && third < 5 && fourth > 30, `${watch.looks}`);
  });
});

test("a failure never brings the next look nearer, and no look comes at once", () => {
  const target = { lookEveryMs: 60 * seconds };
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.option(fc.integer({ min: -hours, max: 48 * hours }), { nil: undefined }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, renewIn, jitter) => {
        const pulled = { target, ...(renewIn === undefined ? {} : { renewAt: epoch + renewIn }) };
        const waiting = nextLook({ target, renewAt: epoch }, 0, epoch, jitter);
        const failed = nextLook(pulled, failures, epoch, jitter);
        assert.ok(failed >= waiting);
        assert.ok(failed <= epoch + 6 * minutes);
        const next = nextLook(pulled, 0, epoch, jitter);
        assert.ok(next >= epoch + 5 * seconds && next <= epoch + hours + minutes);
      },
    ),
  );
});
