import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type Ingestion, startIngestion, type TelemetryItem } from "../../src/local/ingestion.ts";
import { firstIdentity } from "./support.ts";

describe("the embedded ingestion endpoint", () => {
  let azure: EmbeddedAzure;
  let trusted: Disposable;
  let ingestion: Ingestion;
  let open: Ingestion;

  before(async () => {
    azure = await startEmbeddedAzure();
    trusted = azure.trustInThisProcess();
    ingestion = await startIngestion(azure, azure.issuer, { clientId: "some-client" });
    open = await startIngestion(azure, azure.issuer, { localAuthentication: true });
  });
  afterEach(() => {
    azure.faults.clear();
    ingestion.clear();
    assert.deepEqual(azure.requests.defects, []);
  });
  after(async () => {
    trusted[Symbol.dispose]();
    await azure.stop();
  });

  const keyOf = ({ environment }: Ingestion) =>
    /InstrumentationKey=([^;]+)/.exec(environment.APPLICATIONINSIGHTS_CONNECTION_STRING ?? "")?.[1] ?? "";
  const item = (
    iKey: string,
    baseType: string,
    baseData: TelemetryItem["data"]["baseData"],
  ): TelemetryItem => ({
    time: "2026-01-01T00:00:00.000Z",
    iKey,
    tags: { "ai.operation.id": "an-operation", "ai.cloud.role": "a-role" },
    data: { baseType, baseData },
  });
  const event = (iKey: string) => item(iKey, "EventData", { name: "TickCompleted", properties: { a: "b" } });
  const bearer = async (resource = "https://monitor.azure.com") => {
    const { value } = await azure.issuer.issue(firstIdentity(azure), resource, 3600, azure.clock.now());
    return { authorization: `Bearer ${value.reveal()}` };
  };
  const post = async (to: Ingestion, body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${to.url}/v2.1/track`, {
      method: "POST",
      headers,
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const answer = (await response.json()) as {
      itemsReceived: number;
      itemsAccepted: number;
      errors: object[];
    };
    return { status: response.status, retryAfter: response.headers.get("retry-after"), ...answer };
  };

  it("takes items and gives them back as rows of the tables", async () => {
    const key = keyOf(ingestion);
    const metric = item(key, "MetricData", {
      properties: { output: "o" },
      metrics: [
        { name: "SecondsToExpiry", value: 30, count: 3, min: 5, max: 15 },
        { name: "SecretVersions", value: 7 },
      ],
    });
    const answer = await post(ingestion, [event(key), metric, item(key, "MessageData", {})], await bearer());
    assert.deepEqual(answer, {
      status: 200,
      retryAfter: null,
      itemsReceived: 3,
      itemsAccepted: 3,
      errors: [],
    });
    assert.deepEqual(ingestion.counts, { events: 1, metrics: 1, others: 1 });
    assert.deepEqual(ingestion.events("TickCompleted"), [
      {
        TimeGenerated: new Date("2026-01-01T00:00:00Z"),
        Name: "TickCompleted",
        Properties: { a: "b" },
        Measurements: {},
        OperationId: "an-operation",
        ParentId: undefined,
        AppRoleName: "a-role",
        AppVersion: undefined,
      },
    ]);
    assert.deepEqual(
      ingestion.metrics().map(({ Name, Sum, ItemCount, Min, Max }) => [Name, Sum, ItemCount, Min, Max]),
      [
        ["SecondsToExpiry", 30, 3, 5, 15],
        ["SecretVersions", 7, 1, 7, 7],
      ],
    );
    assert.equal(ingestion.events("TickFailed").length, 0);
    assert.equal(ingestion.metrics("SecretVersions").length, 1);
  });

  it("refuses whoever has no token, or one for something else", async () => {
    const items = [event(keyOf(ingestion))];
    assert.equal((await post(ingestion, items)).status, 401);
    assert.equal((await post(ingestion, items, await bearer("https://vault.azure.net"))).status, 401);
    assert.equal((await post(ingestion, items, { authorization: "Bearer nonsense" })).status, 401);
    assert.equal(azure.requests.count("ingestion.challenge"), 3);
    assert.equal(ingestion.items.length, 0);
  });

  it("takes items without a token where local authentication is on, and asks for none", async () => {
    assert.equal((await post(open, [event(keyOf(open))])).status, 200);
    assert.deepEqual(Object.keys(open.environment), ["APPLICATIONINSIGHTS_CONNECTION_STRING"]);
    assert.equal(
      ingestion.environment.APPLICATIONINSIGHTS_AUTHENTICATION_STRING,
      "ClientId=some-client;Authorization=AAD",
    );
  });

  it("refuses items of another component one by one", async () => {
    const [own, other] = [event(keyOf(ingestion)), event("00000000-0000-0000-0000-000000000000")];
    const mixed = await post(ingestion, [other, own], await bearer());
    assert.deepEqual(mixed, {
      status: 206,
      retryAfter: null,
      itemsReceived: 2,
      itemsAccepted: 1,
      errors: [{ index: 0, statusCode: 400, message: "Invalid instrumentation key" }],
    });
    assert.equal((await post(ingestion, [other], await bearer())).status, 400);
    assert.equal(ingestion.items.length, 1);
  });

  for (const body of ["", "{}", "not JSON"]) {
    it(`refuses ${JSON.stringify(body)}, which is no array of items`, async () => {
      const { status, itemsAccepted } = await post(ingestion, body, await bearer());
      assert.deepEqual([status, itemsAccepted], [400, 0]);
    });
  }

  it("answers what it is told to answer", async () => {
    const items = [event(keyOf(ingestion))];
    azure.faults.inject({ kind: "answer", status: 429, retryAfter: 30, operation: "ingestion.track" });
    const { status, retryAfter } = await post(ingestion, items, await bearer());
    assert.deepEqual([status, retryAfter], [429, "30"]);
    assert.equal(ingestion.items.length, 0);
  });

  it("keeps the newest 10,000 items and counts all", async () => {
    const before = ingestion.counts.events;
    const headers = await bearer();
    const many = Array.from({ length: 10_001 }, (_, index) =>
      item(keyOf(ingestion), "EventData", { name: `event-${index}` }),
    );
    assert.equal((await post(ingestion, many, headers)).status, 200);
    assert.equal(ingestion.items.length, 10_000);
    assert.equal(ingestion.events()[0]?.Name, "event-1");
    assert.equal(ingestion.counts.events - before, 10_001);
  });
});
