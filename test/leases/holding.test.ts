import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { RotatorError } from "../../src/errors.ts";
import { leaseMs, type RenewableLease, renewEveryMs, usableMs, whileHeld } from "../../src/leases/holding.ts";
import { leaseProblems } from "../../src/leases/problems.ts";
import { aContext, failure } from "../oauth/setup.ts";
import { VirtualClock } from "../virtualClock.ts";

const unavailable = new RotatorError(leaseProblems.LeaseStoreUnavailable);

let clock: VirtualClock;
let calls: string[];
let lease: RenewableLease;
/** What a renewal comes to. */
let renewal: () => Promise<boolean>;
let work: PromiseWithResolvers<string>;
let signal: AbortSignal | undefined;
let held: Promise<string>;

beforeEach(async () => {
  clock = new VirtualClock();
  calls = [];
  renewal = async () => true;
  work = Promise.withResolvers();
  lease = {
    name: "refresh-token",
    acquire: async () => calls.push("acquire") > 0,
    renew: (given) => {
      calls.push("renew");
      const aborted = Promise.withResolvers<never>();
      given.addEventListener("abort", () => aborted.reject(given.reason));
      return Promise.race([renewal(), aborted.promise]);
    },
    release: async () => void calls.push("release"),
  };
  held = whileHeld(lease, clock, aContext(), (given) => {
    signal = given;
    return work.promise;
  });
  held.catch(() => {});
  await clock.settle();
  assert.equal(signal?.aborted, false);
});

function renewals(): number {
  return calls.filter((call) => call === "renew").length;
}

/** Lets the work end; nothing may be left that runs on. */
async function end(): Promise<void> {
  work.resolve("result");
  assert.equal(await held, "result");
  assert.equal(calls.at(-1), "release");
  assert.equal(clock.sleeping, 0);
}

function isLost(because?: string): void {
  assert.ok(signal?.reason instanceof RotatorError);
  const { code, retryable, facts } = signal.reason;
  assert.deepEqual([code, retryable], ["LeaseLost", true]);
  assert.deepEqual(facts, { lease: "refresh-token", ...(because === undefined ? {} : { because }) });
}

describe("a lease while work is done", () => {
  it("leaves time to stop, and time for a second try", () => {
    assert.ok(usableMs + 5_000 <= leaseMs);
    assert.ok(2 * renewEveryMs < usableMs);
    // What Azure takes.
    assert.ok(leaseMs >= 15_000 && leaseMs <= 60_000);
  });

  it("is renewed every ten seconds, however long the work takes", async () => {
    await clock.advance(3_600_000);
    assert.equal(renewals(), 360);
    assert.equal(signal?.aborted, false);
    await end();
  });

  it("is released when the work fails, and why it failed is passed on", async () => {
    work.reject(new Error("no luck"));
    await assert.rejects(held, /no luck/);
    assert.deepEqual(calls, ["acquire", "release"]);
    assert.equal(clock.sleeping, 0);
  });

  it("outlives an outage that is shorter than its life", async () => {
    renewal = () => Promise.reject(unavailable);
    await clock.advance(18_000);
    assert.ok(renewals() >= 3);
    renewal = async () => true;
    await clock.advance(60_000);
    assert.equal(signal?.aborted, false);
    await end();
  });

  it("is given up before it runs out where it cannot be renewed", async () => {
    renewal = () => Promise.reject(unavailable);
    await clock.advance(19_000);
    assert.equal(signal?.aborted, false);
    await clock.advance(6_000);
    isLost("LeaseStoreUnavailable");
    assert.ok(renewals() >= 4, `${renewals()} tries`);
    await end();
  });

  it("is given up in time, too, where a renewal hangs", async () => {
    renewal = () => new Promise(() => {});
    await clock.advance(usableMs - 1);
    assert.equal(signal?.aborted, false);
    await clock.advance(1);
    isLost();
    await end();
  });

  it("is given up at once where it was taken away", async () => {
    renewal = async () => false;
    await clock.advance(renewEveryMs);
    isLost();
    assert.equal(renewals(), 1);
    await end();
  });

  it("is not begun where somebody else has it", async () => {
    calls = [];
    const work = () => assert.fail("two hold the lease");
    const refused = whileHeld({ ...lease, acquire: async () => false }, clock, aContext(), work);
    const { code, retryable, facts } = await failure(refused);
    assert.deepEqual([code, retryable, facts], ["LeaseHeld", true, { lease: "refresh-token" }]);
    assert.deepEqual(calls, [], "what is not ours is not released");
    await end();
  });

  it("is given up at once by a process that stood still for too long", async () => {
    clock.set(clock.now() + usableMs);
    await clock.advance(1);
    isLost();
    await end();
  });

  it("is not trusted for longer where the clock was set back", async () => {
    clock.set(clock.now() - 3_600_000);
    renewal = () => new Promise(() => {});
    await clock.advance(3_600_000 + renewEveryMs);
    assert.equal(renewals(), 1);
    await clock.advance(usableMs - renewEveryMs);
    isLost();
    await end();
  });

  it("ends with a renewal that is under way", async () => {
    renewal = () => new Promise(() => {});
    await clock.advance(renewEveryMs);
    await end();
    assert.deepEqual(calls, ["acquire", "renew", "release"]);
    assert.equal(signal?.aborted, false);
  });
});
