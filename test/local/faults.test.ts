import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { VirtualClock } from "../virtualClock.ts";

describe("faults", () => {
  const clock = new VirtualClock();
  let azure: EmbeddedAzure;
  let url: string;
  /** How often the service took effect. */
  let effects = 0;

  before(async () => {
    azure = await startEmbeddedAzure({ clock });
    url = await azure.serve({
      name: "counter",
      scheme: "http",
      errorBody: (status) => ({ trouble: status }),
      routes: [
        {
          operation: "increment",
          method: "POST",
          path: "/counters/:name",
          handle: (call) => {
            effects += 1;
            return { status: 200, body: { effects, at: call.now() } };
          },
        },
      ],
    });
  });
  afterEach(() => {
    azure.faults.clear();
    azure.requests.clear();
    effects = 0;
    assert.deepEqual(azure.requests.defects, []);
  });
  after(() => azure.stop());

  const operation = "counter.increment";
  const increment = (name = "a") => fetch(`${url}/counters/${name}`, { method: "POST" });
  const cut = { name: "TypeError", message: "fetch failed" };

  it("answers instead of taking effect, with the service's error body and no Retry-After", async () => {
    azure.faults.inject({ operation, kind: "answer", status: 429 });
    const response = await increment();
    assert.equal(response.status, 429);
    assert.equal(response.headers.get("retry-after"), null);
    assert.deepEqual(await response.json(), { trouble: 429 });
    assert.equal(effects, 0);
  });

  for (const retryAfter of [7, "Thu, 01 Jan 2026 00:01:00 GMT"]) {
    it(`answers with Retry-After: ${retryAfter}`, async () => {
      azure.faults.inject({ operation, kind: "answer", status: 503, retryAfter });
      assert.equal((await increment()).headers.get("retry-after"), String(retryAfter));
    });
  }

  it("answers with a body that is not JSON", async () => {
    azure.faults.inject({ operation, kind: "answer", status: 502, body: "<html>Bad Gateway</html>" });
    const response = await increment();
    assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(await response.text(), "<html>Bad Gateway</html>");
  });

  it("cuts the connection before the effect", async () => {
    azure.faults.inject({ operation, kind: "reset" });
    await assert.rejects(increment(), cut);
    assert.equal(effects, 0);
    assert.equal(azure.requests.all[0]?.effect, false);
  });

  it("cuts the connection after the effect", async () => {
    azure.faults.inject({ operation, kind: "lostResponse" });
    await assert.rejects(increment(), cut);
    assert.equal(effects, 1);
    const [record] = azure.requests.all;
    assert.deepEqual([record?.effect, record?.status, record?.fault], [true, undefined, "lostResponse"]);
  });

  it("lets a gateway answer for an effect whose answer was lost", async () => {
    azure.faults.inject({ operation, kind: "lostResponse", status: 504 });
    const response = await increment();
    assert.equal(response.status, 504);
    assert.deepEqual(await response.json(), { trouble: 504 });
    assert.equal(effects, 1);
  });

  it("waits by the clock that was passed in; latencies add up", async () => {
    azure.faults.inject({ operation, kind: "latency", ms: 20_000 });
    azure.faults.inject({ operation: "counter.*", kind: "latency", ms: 10_000 });
    const before = clock.now();
    const response = await clock.run(increment());
    assert.equal(response.status, 200);
    assert.equal(clock.now() - before, 30_000);
    assert.equal(azure.requests.all[0]?.fault, "latency 30000 ms");
  });

  it("skews the clock of the service: what it computes with, and the Date of its answer", async () => {
    azure.faults.inject({ operation, kind: "clockSkew", ms: 600_000 });
    const response = await increment();
    const expected = clock.now() + 600_000;
    assert.equal(((await response.json()) as { at: number }).at, expected);
    assert.equal(Date.parse(response.headers.get("date") ?? ""), Math.floor(expected / 1000) * 1000);
  });

  it("applies as often as it is told to, in the order of injection", async () => {
    const first = azure.faults.inject({ operation, kind: "answer", status: 500, times: 2 });
    azure.faults.inject({ operation, kind: "answer", status: 503, times: 1 });
    const statuses: number[] = [];
    for (let call = 0; call < 4; call++) {
      statuses.push((await increment()).status);
    }
    assert.deepEqual(statuses, [500, 500, 503, 200]);
    assert.equal(first.applied, 2);
  });

  it("applies until it is removed", async () => {
    const fault = azure.faults.inject({ operation: "*", kind: "answer", status: 500 });
    assert.equal((await increment()).status, 500);
    fault.remove();
    assert.equal((await increment()).status, 200);
  });

  it("matches a name, a pattern, or any condition", async () => {
    azure.faults.inject({ operation, match: "exact", kind: "answer", status: 501 });
    azure.faults.inject({ operation, match: /^pre/, kind: "answer", status: 502 });
    azure.faults.inject({ operation, match: (call) => call.sequence === 4, kind: "answer", status: 503 });
    const statuses: number[] = [];
    for (const name of ["exact", "prefixed", "other", "other"]) {
      statuses.push((await increment(name)).status);
    }
    assert.deepEqual(statuses, [501, 502, 200, 503]);
  });

  it("refuses a fault for, and a count of, an operation that does not exist", () => {
    const unknown = /No operation matches "counter.decrement". There are: .*counter.increment/;
    assert.throws(() => azure.faults.inject({ operation: "counter.decrement", kind: "reset" }), unknown);
    assert.throws(() => azure.faults.hold({ operation: "counter.decrement" }), unknown);
    assert.throws(() => azure.requests.count("counter.decrement"), unknown);
  });

  it("holds a call before its effect until it is released", async () => {
    const hold = azure.faults.hold({ operation });
    const response = increment();
    await hold.arrived();
    assert.equal(effects, 0);
    hold.release();
    assert.equal((await response).status, 200);
    assert.equal(effects, 1);
    assert.equal((await increment()).status, 200);
  });

  it("holds calls after their effect, so many as it is told to", async () => {
    const hold = azure.faults.hold({ operation, stage: "afterEffect", times: 2 });
    const held = [increment(), increment()];
    await hold.arrived(2);
    assert.equal(effects, 2);
    assert.equal((await increment()).status, 200);
    hold.release();
    await Promise.all(held);
  });

  it("lets a hook drop the call before its effect", async () => {
    const remove = azure.faults.onCall({
      beforeCall: async (call) => (call.sequence === 2 ? "drop" : undefined),
    });
    await increment();
    await assert.rejects(increment(), cut);
    remove();
    await increment();
    assert.equal(effects, 2);
    assert.deepEqual(
      azure.requests.all.map(({ fault }) => fault),
      [undefined, "dropped", undefined],
    );
  });

  it("lets a hook lose the answer after the effect, and shows it the answer", async () => {
    const statuses: number[] = [];
    azure.faults.onCall({
      afterEffect: (_call, reply) => {
        statuses.push(reply.status);
        return "drop";
      },
    });
    await assert.rejects(increment(), cut);
    assert.equal(effects, 1);
    assert.deepEqual(statuses, [200]);
  });

  it("stops while calls are held or wait", async () => {
    const own = await startEmbeddedAzure({ clock });
    const endpoint = own.environment.IDENTITY_ENDPOINT as string;
    const hold = own.faults.hold({ operation: "identity.token", times: 1 });
    const held = assert.rejects(fetch(endpoint), cut);
    await hold.arrived();
    own.faults.inject({ operation: "identity.token", kind: "latency", ms: 1_000_000 });
    const waiting = assert.rejects(fetch(endpoint), cut);
    while (clock.sleeping === 0) {
      await clock.settle();
    }
    await own.stop();
    await Promise.all([held, waiting]);
    assert.equal(clock.sleeping, 0);
    assert.deepEqual(own.requests.defects, []);
  });
});
