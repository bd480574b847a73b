import { randomUUID } from "node:crypto";
import { type Issuer, TokenRefused } from "./issuer.ts";
import { bearerToken, type Call, type Caller, type EmbeddedHost, Refusal, type Reply } from "./service.ts";

export interface IngestionOptions {
  /** Whether items are taken without a token. Default no, as `infra` deploys it. */
  readonly localAuthentication?: boolean;
  /** Named in the settings as the identity that sends. Default: the system-assigned one. */
  readonly clientId?: string;
}

/** A row of the table `AppEvents`, as the queries of the alerts see it. */
export interface EventRow {
  readonly TimeGenerated: Date;
  readonly Name: string;
  readonly Properties: Readonly<Record<string, string>>;
  readonly Measurements: Readonly<Record<string, number>>;
  readonly OperationId: string | undefined;
  readonly ParentId: string | undefined;
  readonly AppRoleName: string | undefined;
  readonly AppVersion: string | undefined;
}

/** A row of the table `AppMetrics`. */
export interface MetricRow {
  readonly TimeGenerated: Date;
  readonly Name: string;
  readonly Properties: Readonly<Record<string, string>>;
  readonly Sum: number;
  readonly ItemCount: number;
  readonly Min: number;
  readonly Max: number;
  readonly AppRoleName: string | undefined;
}

/** An Application Insights component: where telemetry is sent to. */
export interface Ingestion {
  /** Without a trailing slash. */
  readonly url: string;
  /** What `infra` sets for the function app: where to send to, and as whom. */
  readonly environment: Readonly<Record<string, string>>;
  /** Items as they came, oldest first; the newest 10,000. */
  readonly items: readonly TelemetryItem[];
  /** How many items of each kind were taken since the start. */
  readonly counts: { readonly events: number; readonly metrics: number; readonly others: number };
  /** Of that name, or all; oldest first. */
  events(name?: string): EventRow[];
  metrics(name?: string): MetricRow[];
  /** Forgets the items, not the counts. */
  clear(): void;
}

/** One item on the wire, as far as it is looked at here. */
export interface TelemetryItem {
  readonly time: string;
  readonly iKey: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly data: {
    readonly baseType: string;
    readonly baseData: {
      readonly name?: string;
      readonly properties?: Readonly<Record<string, string>>;
      readonly measurements?: Readonly<Record<string, number>>;
      readonly metrics?: readonly {
        readonly name: string;
        readonly value: number;
        readonly count?: number;
        readonly min?: number;
        readonly max?: number;
      }[];
    };
  };
}

const audiences = ["https://monitor.azure.com", "https://monitor.azure.com/"];
const kept = 10_000;

/**
 * Operation `ingestion.track`. Items for another component are refused one by one, the others of their request taken
 * (206), as in Azure.
 */
export async function startIngestion(
  host: Pick<EmbeddedHost, "serve">,
  issuer: Issuer,
  options: IngestionOptions = {},
): Promise<Ingestion> {
  const instrumentationKey = randomUUID();
  const items: TelemetryItem[] = [];
  const counts = { events: 0, metrics: 0, others: 0 };

  const track = (call: Call): Reply => {
    const sent = itemsOf(call);
    const refused = sent.flatMap(({ iKey }, index) => (iKey === instrumentationKey ? [] : [index]));
    const taken = sent.filter((_, index) => !refused.includes(index));
    for (const { data } of taken) {
      counts[kindOf(data.baseType)] += 1;
    }
    items.push(...taken);
    items.splice(0, items.length - kept);
    const [status, errors] =
      refused.length === 0
        ? [200, []]
        : [
            taken.length === 0 ? 400 : 206,
            refused.map((index) => ({ index, statusCode: 400, message: "Invalid instrumentation key" })),
          ];
    return { status, body: { itemsReceived: sent.length, itemsAccepted: taken.length, errors } };
  };

  const url = await host.serve({
    name: "ingestion",
    bodyLimit: 8 * 1024 * 1024,
    errorBody: refusalBody,
    ...(options.localAuthentication ? {} : { authenticate: (call: Call) => authenticate(call, issuer) }),
    routes: [{ operation: "track", method: "POST", path: "/v2.1/track", handle: track }],
  });
  const clientId = options.clientId === undefined ? "" : `ClientId=${options.clientId};`;
  return {
    url,
    environment: {
      APPLICATIONINSIGHTS_CONNECTION_STRING: `InstrumentationKey=${instrumentationKey};IngestionEndpoint=${url}/;LiveEndpoint=${url}/;ApplicationId=${randomUUID()}`,
      ...(options.localAuthentication
        ? {}
        : { APPLICATIONINSIGHTS_AUTHENTICATION_STRING: `${clientId}Authorization=AAD` }),
    },
    items,
    counts,
    events: (name) => items.flatMap(eventRows).filter(({ Name }) => name === undefined || Name === name),
    metrics: (name) => items.flatMap(metricRows).filter(({ Name }) => name === undefined || Name === name),
    clear: () => void items.splice(0),
  };
}

async function authenticate(call: Call, issuer: Issuer): Promise<Caller> {
  const token = bearerToken(call);
  try {
    if (token !== undefined) {
      return await issuer.verify(token, audiences, call.now());
    }
  } catch (error) {
    if (!(error instanceof TokenRefused)) {
      throw error;
    }
  }
  throw new Refusal({ status: 401, body: refusalBody(401, "The request was not authenticated.") });
}

function itemsOf(call: Call): TelemetryItem[] {
  try {
    const items: unknown = JSON.parse(call.body.toString("utf8"));
    if (Array.isArray(items)) {
      return items;
    }
  } catch {
    // Answered below.
  }
  throw new Refusal({ status: 400, body: refusalBody(400, "The body is no array of items.") });
}

function refusalBody(statusCode: number, message: string): object {
  return { itemsReceived: 0, itemsAccepted: 0, errors: [{ index: 0, statusCode, message }] };
}

function kindOf(baseType: string): "events" | "metrics" | "others" {
  return baseType === "EventData" ? "events" : baseType === "MetricData" ? "metrics" : "others";
}

function eventRows({ time, tags, data: { baseType, baseData } }: TelemetryItem): EventRow[] {
  if (baseType !== "EventData") {
    return [];
  }
  return [
    {
      TimeGenerated: new Date(time),
      Name: baseData.name ?? "",
      Properties: baseData.properties ?? {},
      Measurements: baseData.measurements ?? {},
      OperationId: tags?.["ai.operation.id"],
      ParentId: tags?.["ai.operation.parentId"],
      AppRoleName: tags?.["ai.cloud.role"],
      AppVersion: tags?.["ai.application.ver"],
    },
  ];
}

/** A data point without a count is a single measurement: it is its own least and greatest. */
function metricRows({ time, tags, data: { baseData } }: TelemetryItem): MetricRow[] {
  return (baseData.metrics ?? []).map(({ name, value, count = 1, min = value, max = value }) => ({
    TimeGenerated: new Date(time),
    Name: name,
    Properties: baseData.properties ?? {},
    Sum: value,
    ItemCount: count,
    Min: min,
    Max: max,
    AppRoleName: tags?.["ai.cloud.role"],
  }));
}
