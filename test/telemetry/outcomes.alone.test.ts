import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TickReport } from "../../src/core/result.ts";
import type { ConsumerBinding, SourceBinding } from "../../src/core/rotation.ts";
import { RotatorError } from "../../src/errors.ts";
import { type EventName, type EventProperties, type Outcome, outcomes } from "../../src/events.ts";
import type { EventRow } from "../../src/local/ingestion.ts";
import type { ConsumerReport } from "../../src/ports.ts";
import { eventContract, metricContract, metricProperties } from "../../src/telemetry/contract.ts";
import { aRotation, aSource, aToken, epoch, hours, minutes, vault } from "../builders.ts";
import { TestEngine } from "../fakes/engine.ts";
import { eventsRead } from "../infra/contract.ts";
import { alertQueries } from "../infra/queries.ts";
import { type Component, sinkOf, startComponent, type TestSink } from "./setup.ts";

const never = new AbortController().signal;
const canary = "canary-7b1d9c";

const failure = (code: string) =>
  new RotatorError(
    { code, message: "It failed.", remedy: "Mend it.", retryable: false },
    { cause: Object.assign(new Error(canary), { body: canary }) },
  );
const failing = (code: string): SourceBinding =>
  aSource(
    async () => {
      throw failure(code);
    },
    { key: code },
  );
const minting = (subject = "one"): SourceBinding =>
  aSource(async () => aToken({ text: canary, subject }), { key: `minting ${subject}` });

function consumer(report: Partial<ConsumerReport>): ConsumerBinding {
  const current: ConsumerReport = { state: "current", behind: [], updated: 0, restarted: false };
  const answer = { ...current, ...report };
  return {
    output: "app-token",
    secret: "token",
    consumer: {
      kind: "container-app",
      target: "the-app",
      inspect: async () => answer,
      reconcile: async () => answer,
    },
  };
}

/** A tick that ends so. */
const ticks: { readonly [Name in Outcome]: (engine: TestEngine) => Promise<TickReport> } = {
  Rotated: (engine) => {
    engine.throttled = [{ vault, count: 2 }];
    const token = aToken({ text: canary, signInBy: new Date(epoch + 24 * hours) });
    const sources = [failing("IdentityNotAssigned"), aSource(async () => token)];
    return engine.tick([aRotation({ sources })]);
  },
  Propagated: async (engine) => {
    await engine.tick([aRotation({ sources: [minting()] })]);
    return engine.tick([
      aRotation({ sources: [minting()], consumers: [consumer({ updated: 1, restarted: true })] }),
    ]);
  },
  RestartPending: (engine) =>
    engine.tick([aRotation({ sources: [minting()], consumers: [consumer({ state: "restarting" })] })]),
  Fresh: async (engine) => {
    await engine.tick([aRotation({ sources: [minting()] })]);
    return engine.tick([aRotation({ sources: [minting()] })]);
  },
  Paused: (engine) => engine.tick([aRotation({ paused: {} })]),
  SourceUnchanged: async (engine) => {
    const day = aToken({ text: canary, expiresOn: new Date(epoch + 24 * hours) });
    const rotation = aRotation({ sources: [aSource(async () => day)] });
    await engine.tick([rotation]);
    await engine.clock.advance(17 * hours);
    return engine.tick([rotation]);
  },
  Blocked: (engine) => engine.tick([aRotation({ faults: [`x: ${canary} is wrong`] })]),
  SubjectChanged: async (engine) => {
    await engine.tick([aRotation({ sources: [minting("one")] })]);
    return engine.tick([aRotation({ sources: [minting("two")] })], { force: true });
  },
  RestartFailed: (engine) =>
    engine.tick([
      aRotation({
        sources: [minting()],
        consumers: [consumer({ state: "failed", error: failure("ConsumerNotFound") })],
      }),
    ]),
  Failed: async (engine) => {
    await engine.tick([aRotation({ sources: [minting()] })]);
    await engine.clock.advance(2 * hours);
    return engine.tick([aRotation({ sources: [failing("IdentityNotAssigned")] })]);
  },
  NotReached: (engine) =>
    engine.tick([aRotation({ sources: [aSource(() => new Promise(() => {}))] })], { deadlineMs: minutes }),
  SignInRequired: (engine) => engine.tick([aRotation({ sources: [failing("SignInRequired")] })]),
};

const outcomeEvents = new Set<EventName>(Object.values(outcomes));

describe("a tick tells the truth", () => {
  let component: Component;
  let sink: TestSink;

  before(async () => {
    component = await startComponent();
    sink = sinkOf(component);
  });
  after(() => component[Symbol.asyncDispose]());

  for (const [outcome, tick] of Object.entries(ticks)) {
    it(`${outcome} has one event, and the tick one heartbeat`, async () => {
      const engine = new TestEngine();
      const report = await tick(engine);
      assert.deepEqual(
        report.rotations.map((result) => result.outcome),
        [outcome],
      );
      const told = engine.telemetry.events.filter(({ operation }) => operation === report.operation);
      const endings = told.filter(({ name }) => outcomeEvents.has(name));
      assert.deepEqual(
        endings.map(({ name, properties }) => [name, "outcome" in properties && properties.outcome]),
        [[outcomes[outcome as Outcome], outcome]],
      );
      assert.deepEqual(
        told.map(({ name }) => name).filter((name) => name === "TickCompleted"),
        ["TickCompleted"],
      );
      for (const event of engine.telemetry.events) {
        sink.event(event, event.operation);
      }
      engine.telemetry.metrics.forEach(sink.metric);
      await sink.flush(never);
      assert.deepEqual(sink.lines, []);
    });
  }

  it("a tick that could not begin says so", async () => {
    const properties: EventProperties["TickFailed"] = {
      stage: "configure",
      code: "ConfigurationUnreadable",
      durationMs: 1,
      version: "1.2.3",
    };
    sink.event({ name: "TickFailed", properties }, "an-invocation");
    await sink.flush(never);
  });

  describe("as it arrives", () => {
    let rows: readonly EventRow[];

    before(() => {
      rows = component.ingestion.events();
    });

    for (const [name, { properties }] of Object.entries(eventContract)) {
      it(`${name} has what its contract says and nothing else`, () => {
        const found = rows.filter((row) => row.Name === name);
        assert.ok(found.length > 0);
        const entries = Object.entries(properties);
        const namesOf = (isNumber: boolean, which: (optional: true | undefined) => boolean) =>
          entries
            .filter(([, { type, optional }]) => (type === "number") === isNumber && which(optional))
            .map(([key]) => key);
        for (const { Properties, Measurements } of found) {
          for (const [values, isNumber] of [
            [Properties, false],
            [Measurements, true],
          ] as const) {
            const keys = Object.keys(values);
            const own = isNumber ? [] : ["operation"];
            const all = [...own, ...namesOf(isNumber, () => true)];
            const required = [...own, ...namesOf(isNumber, (optional) => optional === undefined)];
            assert.deepEqual(
              keys.filter((key) => !all.includes(key)),
              [],
            );
            assert.deepEqual(
              required.filter((key) => !keys.includes(key)),
              [],
            );
            assert.ok(
              Object.values(values).every((value) => typeof value === (isNumber ? "number" : "string")),
            );
          }
        }
      });
    }

    it("a metric has the series that its contract says", () => {
      const metrics = component.ingestion.metrics();
      assert.deepEqual(new Set(metrics.map(({ Name }) => Name)), new Set(Object.keys(metricContract)));
      for (const { Properties } of metrics) {
        assert.deepEqual(Object.keys(Properties).sort(), Object.keys(metricProperties).sort());
      }
    });

    for (const [name, query] of alertQueries) {
      it(`the query ${name} finds every column that it reads`, () => {
        const metrics = /\bAppMetrics\b/.test(query) ? component.ingestion.metrics() : [];
        const read = eventsRead(query);
        const events = rows.filter((row) => read.includes(row.Name));
        assert.deepEqual(
          read.filter((event) => !events.some((row) => row.Name === event)),
          [],
        );
        for (const [, column = "", dotted, quoted] of query.matchAll(
          /\b(Properties|Measurements)(?:\.(\w+)|\["(\w+)"\])/g,
        )) {
          const key = dotted ?? quoted ?? "";
          const values =
            column === "Measurements"
              ? events.map((row) => row.Measurements[key])
              : [...events, ...metrics].map((row) => row.Properties[key]);
          const type = column === "Measurements" ? "number" : "string";
          assert.ok(
            values.some((value) => typeof value === type),
            `${column}.${key}`,
          );
        }
      });
    }

    it("holds no secret, whatever the tick met", () => {
      assert.ok(component.ingestion.items.length > 20);
      assert.ok(!JSON.stringify(component.ingestion.items).includes(canary));
    });
  });
});
