import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createHttpHeaders,
  createPipelineRequest,
  type HttpClient,
  type PipelineRequest,
} from "@azure/core-rest-pipeline";
import type { CallContext } from "../../src/ports.ts";
import { createVaultTransport, publishedLimits, type VaultLimits } from "../../src/stores/vaultTransport.ts";
import { VirtualClock } from "../virtualClock.ts";

const start = Date.UTC(2026, 0, 1);
const vault = "https://kv-test.vault.azure.net";

interface Arrival {
  readonly at: number;
  readonly method: string;
  readonly secret: string;
}

/** A vault without a network: 30 ms for every call, and a note of each. */
function aVault(clock: VirtualClock, status: (arrival: Arrival) => number = () => 200) {
  const arrivals: Arrival[] = [];
  const seen: PipelineRequest[] = [];
  let running = 0;
  const busiest = { value: 0 };
  const send: HttpClient = {
    sendRequest: async (request) => {
      seen.push(request);
      running += 1;
      busiest.value = Math.max(busiest.value, running);
      const secret = new URL(request.url).pathname.split("/")[2] ?? "";
      const arrival = { at: clock.now() - start, method: request.method, secret };
      arrivals.push(arrival);
      await clock.sleep(30);
      running -= 1;
      const headers = createHttpHeaders({ "content-type": "application/json" });
      return { request, headers, status: status(arrival), bodyAsText: "{}" };
    },
  };
  return { send, arrivals, seen, busiest };
}

function aTransport(clock: VirtualClock, send: HttpClient, limits: Partial<VaultLimits> = {}) {
  let throttled = 0;
  const transport = createVaultTransport({
    send,
    clock,
    limits: { ...publishedLimits, ...limits },
    onThrottled: () => {
      throttled += 1;
    },
  });
  const call = (method: "GET" | "PUT", secret: string, context: CallContext) =>
    transport.within(context, () =>
      transport.httpClient.sendRequest(createPipelineRequest({ method, url: `${vault}/secrets/${secret}` })),
    );
  return { transport, call, throttled: () => throttled };
}

function within(clock: VirtualClock, budgetMs: number): CallContext {
  return { signal: new AbortController().signal, giveUpAt: clock.now() + budgetMs };
}

function inBusiestWindow(arrivals: readonly Arrival[], windowMs: number): number {
  return Math.max(
    ...arrivals.map(
      ({ at }) => arrivals.filter((other) => other.at >= at && other.at < at + windowMs).length,
    ),
  );
}

describe("the published limits", () => {
  test("a thousand new versions take as long as the limit makes them, and no longer", async () => {
    const clock = new VirtualClock(start);
    const { send, arrivals, busiest } = aVault(clock);
    const { call } = aTransport(clock, send);
    const context = within(clock, 0);
    await clock.run(
      Promise.all(Array.from({ length: 1_000 }, (_, index) => call("PUT", `s-${index}`, context))),
    );
    assert.equal(inBusiestWindow(arrivals, 10_000), 300);
    assert.equal(busiest.value, publishedLimits.concurrency);
    // 300 at once, and then 300 for every window that has passed.
    const took = clock.now() - start;
    assert.ok(took >= 30_000 && took <= 1.1 * 30_000, `${took} ms`);
  });

  test("reads do not wait behind writes", async () => {
    const clock = new VirtualClock(start);
    const { send, arrivals } = aVault(clock);
    const { call } = aTransport(clock, send, { creates: 10, others: 40 });
    const context = within(clock, 0);
    const writes = Promise.all(Array.from({ length: 50 }, (_, index) => call("PUT", `s-${index}`, context)));
    const reads = Promise.all(Array.from({ length: 100 }, (_, index) => call("GET", `s-${index}`, context)));
    await clock.run(Promise.all([writes, reads]));
    const of = (method: string) => arrivals.filter((arrival) => arrival.method === method);
    assert.equal(inBusiestWindow(of("PUT"), 10_000), 10);
    assert.equal(inBusiestWindow(of("GET"), 10_000), 40);
    assert.ok((of("GET").at(-1)?.at ?? 0) < 21_000);
    assert.ok((of("PUT").at(-1)?.at ?? 0) > 40_000);
  });
});

describe("throttling", () => {
  test("one call that is throttled holds the others of its kind back", async () => {
    const clock = new VirtualClock(start);
    const { send, arrivals } = aVault(clock, ({ at, method }) =>
      at < 5_000 && method === "GET" ? 429 : 200,
    );
    const { call, throttled } = aTransport(clock, send, { concurrency: 2 });
    const context = within(clock, 60_000);
    const reads = Array.from({ length: 20 }, (_, index) => call("GET", `s-${index}`, context));
    await clock.run(Promise.all([...reads, call("PUT", "s", context)]));
    const storm = arrivals.filter(({ at, method }) => at < 5_000 && method === "GET");
    assert.equal(throttled(), storm.length);
    // Two at a time and a pause of a second after each pair; without the pause all twenty would come at once.
    assert.ok(storm.length <= 2 * 5, `${storm.length} calls in 5 s`);
    assert.equal(arrivals.find(({ method }) => method === "PUT")?.at, 0);
  });

  test("a new version is not sent again by the transport, everything else is", async () => {
    const clock = new VirtualClock(start);
    const { send, arrivals } = aVault(clock, () => 503);
    const { call } = aTransport(clock, send);
    await clock.run(
      assert.rejects(call("PUT", "s", within(clock, 7_500)), { code: "VaultUnavailable", attempts: 1 }),
    );
    assert.equal(arrivals.length, 1);
    await clock.run(
      assert.rejects(call("GET", "s", within(clock, 7_500)), { code: "VaultUnavailable", attempts: 4 }),
    );
    assert.equal(arrivals.length, 5);
  });
});

test("a try is bounded in time and ends with the signal; the client's own request stays without either", async () => {
  const clock = new VirtualClock(start);
  const { send, seen } = aVault(clock);
  const { transport } = aTransport(clock, send);
  const context = within(clock, 0);
  const request = createPipelineRequest({ method: "GET", url: `${vault}/secrets` });
  await clock.run(transport.within(context, () => transport.httpClient.sendRequest(request)));
  assert.equal(seen[0]?.timeout, 10_000);
  assert.equal(seen[0]?.abortSignal, context.signal);
  assert.equal(seen[0]?.url, request.url);
  assert.equal(seen[0]?.headers, request.headers);
  // With a timeout or a signal of its own, each of several concurrent calls would fetch a token for itself.
  assert.equal(request.timeout, 0);
  assert.equal(request.abortSignal, undefined);
});

test("a 401 is left to the client", async () => {
  const clock = new VirtualClock(start);
  const { send } = aVault(clock, () => 401);
  const { call } = aTransport(clock, send);
  const response = await clock.run(call("GET", "s", within(clock, 60_000)));
  assert.equal(response.status, 401);
});
