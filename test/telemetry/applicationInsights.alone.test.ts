import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { type EventName, type EventProperties, outcomes, type TelemetryEvent } from "../../src/events.ts";
import type { FaultRule } from "../../src/local/faults.ts";
import { version } from "../../src/version.ts";
import { type Component, sinkOf, startComponent, type TestSink } from "./setup.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const operation = "3f0e8c52-1f6e-4d3a-9a53-0d1f5b4f0a77";
const never = new AbortController().signal;

const facts = {
  rotation: "orders",
  outcome: "Failed",
  reason: "NearingExpiry",
  secondsToExpiry: -5,
  durationMs: 7,
} as const;

/** One of each. */
const samples: { readonly [Name in EventName]: EventProperties[Name] } = {
  TickCompleted: {
    rotations: 4,
    due: 2,
    rotated: 1,
    unchanged: 2,
    failed: 1,
    notReached: 0,
    durationMs: 12,
    pastDue: true,
    version: "1.2.3",
    configuration: "abcd",
  },
  TickFailed: { stage: "configure", code: "ConfigurationUnreadable", durationMs: 3, version: "1.2.3" },
  RotationSucceeded: { ...facts, outcome: "Rotated" },
  RotationUnchanged: { ...facts, outcome: "Fresh", reason: "Fresh" },
  RotationFailed: { ...facts, stage: "mint", code: "IdentityNotAssigned", attempt: 3 },
  SignInRequired: {
    ...facts,
    outcome: "SignInRequired",
    stage: "mint",
    code: "SignInRequired",
    command: "token-rotator login orders",
  },
  FallbackUsed: { rotation: "orders", kind: "entra", position: 1, code: "SignInRequired" },
  ConsumerUpdated: {
    consumer: "app",
    kind: "container-app",
    state: "current",
    secrets: 2,
    restarted: false,
    durationMs: 9,
  },
  ConsumerFailed: {
    consumer: "app",
    kind: "container-app",
    state: "failed",
    stage: "propagate",
    code: "ConsumerNotFound",
  },
  RefreshTokenExpiring: { rotation: "orders", secondsToExpiry: 86_400 },
  VaultThrottled: { vault: "https://kv-test.vault.azure.net", count: 3 },
};
const heartbeat: TelemetryEvent = { name: "TickCompleted", properties: samples.TickCompleted };

describe("the Application Insights sink", () => {
  let component: Component;
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "telemetry-"));
    process.env.TMPDIR = directory;
    component = await startComponent();
  });
  afterEach(() => {
    component.azure.faults.clear();
    component.azure.requests.clear();
    component.ingestion.clear();
    assert.deepEqual(component.azure.requests.defects, []);
  });
  after(async () => {
    await component[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const beat = async (sink: TestSink, signal = never) => {
    sink.event(heartbeat, operation);
    await sink.flush(signal);
  };
  /** What was said, with the texts that are static taken away. */
  const said = (sink: TestSink) =>
    sink.lines.map((line) => {
      const [level = "", text = ""] = line.split(/ (.*)/);
      const { event, code, message } = JSON.parse(text);
      return [level, event, code, /\((.*)\)$/.exec(message)?.[1]].join(" ").trim();
    });

  for (const [name, properties] of Object.entries(samples)) {
    it(`delivers ${name} under its name, numbers as measurements and the rest as text`, async () => {
      const sink = sinkOf(component);
      sink.event({ name, properties } as TelemetryEvent, operation);
      await sink.flush(never);
      const [row, ...more] = component.ingestion.events();
      assert.deepEqual(more, []);
      assert.equal(row?.Name, name);
      const entries = Object.entries(properties);
      assert.deepEqual(
        row?.Measurements,
        Object.fromEntries(entries.filter(([, value]) => typeof value === "number")),
      );
      const texts = entries.filter(([, value]) => typeof value !== "number");
      assert.deepEqual(row?.Properties, {
        operation,
        ...Object.fromEntries(texts.map(([key, value]) => [key, String(value)])),
      });
      assert.equal(row?.AppRoleName, "rotator-app");
      assert.equal(row?.AppVersion, version);
      assert.deepEqual(sink.lines, []);
    });
  }

  it("delivers a metric per output; where the value is below zero, zero", async () => {
    const sink = sinkOf(component);
    const one = { rotation: "orders", output: "orders-token", vault: "https://kv-test.vault.azure.net" };
    const other = { ...one, output: "orders-uri" };
    sink.metric({ name: "SecondsToExpiry", value: 1800, properties: one });
    sink.metric({ name: "SecondsToExpiry", value: -60, properties: other });
    sink.metric({ name: "SecretVersions", value: 12, properties: one });
    await sink.flush(never);
    const rows = component.ingestion
      .metrics()
      .map(({ Name, Properties, Sum, Min, Max, ItemCount }) => [Name, Properties, Sum, Min, Max, ItemCount]);
    assert.deepEqual(rows, [
      ["SecondsToExpiry", one, 1800, 1800, 1800, 1],
      ["SecondsToExpiry", other, 0, 0, 0, 1],
      ["SecretVersions", one, 12, 12, 12, 1],
    ]);
    assert.deepEqual(sink.lines, []);
  });

  it("tells a metric anew in every flush, with nothing of the one before in it", async () => {
    const sink = sinkOf(component);
    const properties = { rotation: "orders", output: "orders-token", vault: "v" };
    for (const value of [100, 40]) {
      sink.metric({ name: "SecondsToExpiry", value, properties });
      await sink.flush(never);
    }
    assert.deepEqual(
      component.ingestion.metrics().map(({ Sum, Min, Max }) => [Sum, Min, Max]),
      [
        [100, 100, 100],
        [40, 40, 40],
      ],
    );
  });

  it("lets the later tick speak where two have spoken before a flush", async () => {
    const sink = sinkOf(component);
    const properties = { rotation: "orders", output: "orders-token", vault: "v" };
    sink.metric({ name: "SecondsToExpiry", value: 100, properties });
    sink.metric({ name: "SecondsToExpiry", value: 40, properties });
    await sink.flush(never);
    assert.deepEqual(
      component.ingestion.metrics().map(({ Sum, ItemCount }) => [Sum, ItemCount]),
      [[40, 1]],
    );
  });

  it("puts the items into the operation of the invocation", async () => {
    await beat(sinkOf(component, { traceParent: `00-${traceId}-b7ad6b7169203331-01` }));
    const [row] = component.ingestion.events();
    assert.equal(row?.OperationId, traceId);
    assert.equal(row?.ParentId, "b7ad6b7169203331");
    assert.equal(row?.Properties.operation, operation);
  });

  it("makes an operation of the tick where the host gives none", async () => {
    await beat(sinkOf(component));
    const [row] = component.ingestion.events();
    assert.equal(row?.OperationId, "3f0e8c521f6e4d3a9a530d1f5b4f0a77");
    assert.equal(row?.ParentId, undefined);
  });

  it("sends as the identity that the setting names, and keeps one client and its token", async () => {
    const sink = sinkOf(component, {
      environment: { AZURE_CLIENT_ID: "11111111-1111-1111-1111-111111111111" },
    });
    await beat(sink);
    const asked = component.azure.requests.count("identity.token");
    await beat(sink);
    assert.equal(component.azure.requests.count("identity.token"), asked);
    const callers = component.azure.requests.of("ingestion.track").map(({ caller }) => caller?.clientId);
    const { AZURE_CLIENT_ID: clientId } = component.azure.environment;
    assert.deepEqual(callers, [clientId, clientId]);
  });

  it("delivers a tick of thousands of rotations whole", async () => {
    const sink = sinkOf(component);
    for (let index = 0; index < 2_500; index += 1) {
      const rotation = `rotation-${index}`;
      sink.event(
        { name: "RotationUnchanged", properties: { ...samples.RotationUnchanged, rotation } },
        operation,
      );
      const properties = { rotation, output: rotation, vault: "v" };
      sink.metric({ name: "SecondsToExpiry", value: index, properties });
    }
    await sink.flush(never);
    const rotations = new Set(component.ingestion.events().map(({ Properties }) => Properties.rotation));
    assert.equal(rotations.size, 2_500);
    const metrics = component.ingestion.metrics();
    assert.equal(metrics.length, 2_500);
    assert.ok(metrics.every(({ Properties, Sum }) => Properties.rotation === `rotation-${Sum}`));
    assert.deepEqual(sink.lines, []);
  });

  const refused = {
    itemsReceived: 1,
    itemsAccepted: 0,
    errors: [{ index: 0, statusCode: 429, message: "" }],
  };
  for (const [what, fault, line] of [
    ["400", { kind: "answer", status: 400 }, "TelemetryRefused status=400"],
    ["401", { kind: "answer", status: 401 }, "TelemetryRefused status=401"],
    ["403", { kind: "answer", status: 403 }, "TelemetryRefused status=403"],
    ["439", { kind: "answer", status: 439 }, "TelemetryRefused status=439"],
    ["500 to every try", { kind: "answer", status: 500 }, "TelemetryRefused status=500"],
    [
      "206 that refuses the item",
      { kind: "answer", status: 206, body: refused },
      "TelemetryIncomplete sent=1, accepted=0",
    ],
    [
      "200 that does not speak of items",
      { kind: "answer", status: 200, body: "OK" },
      "TelemetryIncomplete sent=1, accepted=0",
    ],
    ["a connection that breaks", { kind: "reset" }, "TelemetryUnreachable errorCode=ECONNRESET"],
  ] as const) {
    it(`says in one line when it is answered with ${what}, and goes on with the next tick`, async () => {
      const sink = sinkOf(component);
      const injected = component.azure.faults.inject({
        ...(fault as FaultRule),
        operation: "ingestion.track",
      });
      await beat(sink);
      injected.remove();
      assert.deepEqual(said(sink), [`warn TelemetrySinkFailed ${line}`]);
      assert.equal(component.ingestion.events().length, 0);
      await beat(sink);
      assert.equal(sink.lines.length, 1);
      assert.equal(component.ingestion.events().length, 1);
    });
  }

  for (const [what, fault] of [
    ["500", { kind: "answer", status: 500 }],
    ["a broken connection", { kind: "reset" }],
  ] as const) {
    it(`tries again after ${what}`, async () => {
      const sink = sinkOf(component);
      component.azure.faults.inject({ ...fault, operation: "ingestion.track", times: 1 });
      await beat(sink);
      assert.deepEqual(sink.lines, []);
      assert.equal(component.ingestion.events().length, 1);
    });
  }

  it("keeps nothing on disk of what was refused", async () => {
    component.azure.faults.inject({ kind: "answer", status: 503, operation: "ingestion.track" });
    await beat(sinkOf(component));
    assert.deepEqual(await readdir(directory), []);
  });

  it("gives up when time is up and the endpoint has not answered", async () => {
    const sink = sinkOf(component);
    const time = new AbortController();
    const gate = component.azure.faults.hold({ operation: "ingestion.track" });
    const flushed = beat(sink, time.signal);
    await gate.arrived();
    time.abort();
    await flushed;
    assert.deepEqual(said(sink), ["warn TelemetrySinkFailed TelemetrySlow"]);
  });

  it("gives up when time is up and the endpoint asks to come back in an hour", async () => {
    const sink = sinkOf(component);
    component.azure.faults.inject({
      kind: "answer",
      status: 429,
      retryAfter: 3600,
      operation: "ingestion.track",
    });
    await beat(sink, AbortSignal.timeout(200));
    assert.deepEqual(said(sink), ["warn TelemetrySinkFailed TelemetrySlow"]);
    assert.equal(component.azure.requests.count("ingestion.track"), 1);
  });

  it("gives up when time is up and the identity has not answered", async () => {
    const sink = sinkOf(component, { credential: () => new Promise(() => {}) });
    const time = new AbortController();
    const flushed = beat(sink, time.signal);
    time.abort();
    await flushed;
    assert.deepEqual(said(sink), ["warn TelemetrySinkFailed TelemetrySlow"]);
  });

  it("says why where the identity gives no token", async () => {
    const nobody = "22222222-2222-2222-2222-222222222222";
    const setting = `clientid=${nobody};authorization=aad`;
    const sink = sinkOf(component, { environment: { APPLICATIONINSIGHTS_AUTHENTICATION_STRING: setting } });
    await beat(sink);
    assert.match(sink.lines.join("\n"), /^warn .*"code":"Identity\w+".*\n?$/);
    assert.equal(component.azure.requests.count("ingestion.track"), 0);
  });

  it("sends without a token where none is asked for, and is refused by a component that wants one", async () => {
    const sink = sinkOf(component, { environment: { APPLICATIONINSIGHTS_AUTHENTICATION_STRING: undefined } });
    await beat(sink);
    assert.deepEqual(said(sink), ["warn TelemetrySinkFailed TelemetryRefused status=401"]);
    assert.equal(component.azure.requests.count("identity.token"), 0);
  });

  const key = "3c1d7f0a-70c6-4d8a-9a0c-0e6f1d7c7f11";
  for (const [what, connectionString] of [
    ["is no connection string", "hello"],
    ["has no key", "IngestionEndpoint=https://127.0.0.1/"],
    ["has a key that is no UUID", "InstrumentationKey=canary-key;IngestionEndpoint=https://127.0.0.1/"],
    ["has an address that is none", `InstrumentationKey=${key};IngestionEndpoint=nowhere`],
    ["has an address without TLS", `InstrumentationKey=${key};IngestionEndpoint=http://127.0.0.1/`],
  ] as const) {
    it(`says so when the connection string ${what}, and sends nothing`, async () => {
      const sink = sinkOf(component, {
        environment: { APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString },
      });
      await beat(sink);
      assert.deepEqual(said(sink), ["warn TelemetrySinkFailed ConnectionStringInvalid"]);
      assert.ok(!sink.lines[0]?.includes("canary"));
      assert.equal(component.azure.requests.total, 0);
    });
  }

  it("takes a connection string with spaces, in any case, with a last semicolon", async () => {
    const { APPLICATIONINSIGHTS_CONNECTION_STRING: own = "" } = component.environment;
    const pasted = ` ${own.replaceAll(";", " ; ").replace("IngestionEndpoint", "ingestionendpoint")} ; `;
    const sink = sinkOf(component, { environment: { APPLICATIONINSIGHTS_CONNECTION_STRING: pasted } });
    await beat(sink);
    assert.deepEqual(sink.lines, []);
    assert.equal(component.ingestion.events().length, 1);
  });

  it("says so when the key is of another component", async () => {
    const { APPLICATIONINSIGHTS_CONNECTION_STRING: own = "" } = component.environment;
    const other = own.replace(/InstrumentationKey=[^;]*/, `InstrumentationKey=${key}`);
    const sink = sinkOf(component, { environment: { APPLICATIONINSIGHTS_CONNECTION_STRING: other } });
    await beat(sink);
    assert.deepEqual(said(sink), ["warn TelemetrySinkFailed TelemetryRefused status=400"]);
  });

  it("says once that it is off where there is no connection string", async () => {
    const sink = sinkOf(component, { environment: { APPLICATIONINSIGHTS_CONNECTION_STRING: undefined } });
    await beat(sink);
    await beat(sink);
    assert.equal(sink.lines.length, 1);
    assert.match(sink.lines[0] ?? "", /^info APPLICATIONINSIGHTS_CONNECTION_STRING is not set/);
    assert.equal(component.azure.requests.total, 0);
  });

  it("has a sample of every event that tells an outcome", () => {
    for (const name of Object.values(outcomes)) {
      assert.ok(name in samples);
    }
  });
});
