import type { PipelinePolicy } from "@azure/core-rest-pipeline";
import type { TokenCredential } from "@azure/identity";
import type { TelemetryClient } from "applicationinsights";
import { type Facts, problems, RotatorError } from "../errors.ts";
import type { TelemetryEvent, TelemetryMetric } from "../events.ts";
import { version } from "../version.ts";

/** What the sink was told. */
export type Item =
  | { readonly event: TelemetryEvent; readonly operation: string }
  | { readonly metric: TelemetryMetric };

export interface ApplicationInsightsClient {
  /**
   * @param traceParent Of the invocation; the items become part of its operation.
   * @param signal Aborts what is under way.
   * @throws RotatorError `TelemetryRefused`, `TelemetryUnreachable`, `TelemetryIncomplete`, or what the identity says.
   */
  send(items: readonly Item[], traceParent: string | undefined, signal: AbortSignal): Promise<void>;
}

export interface ClientOptions {
  /** Has been checked: a wrong one makes the package drop everything in silence. */
  readonly connectionString: string;
  /** For a component that takes Entra tokens only. */
  readonly credential?: TokenCredential;
  /** What the items are shown under (`AppRoleName`): the name of the app, as in what the host sends. */
  readonly role: string;
}

const clientProblems = problems({
  TelemetryRefused: {
    message: "Application Insights refused the telemetry of this tick.",
    remedy:
      "401 and 403: give the app's identity the role Monitoring Metrics Publisher on the component; 400: correct the connection string; 429 and 439: look at the component's daily cap.",
    retryable: true,
  },
  TelemetryUnreachable: {
    message: "Application Insights could not be reached.",
    remedy: "Check that the app can resolve and reach the ingestion endpoint of the connection string.",
    retryable: true,
  },
  TelemetryIncomplete: {
    message: "Application Insights did not take all telemetry of this tick.",
    remedy:
      "Look at the component's sampling and its daily cap, and at what the documentation says of its limits.",
    retryable: true,
  },
});

/**
 * Of the package's queues: one holds 2,048 events, the other 2,000 series of a metric, and what is more is dropped or
 * heaped into one series, in silence.
 */
const itemsAtOnce = 1_000;

/** Loads the package. Nothing is registered with the process: no global providers, no instrumentation, no handlers. */
export async function createClient(options: ClientOptions): Promise<ApplicationInsightsClient> {
  // The package would report on itself to Microsoft, and looks for a settings file beside its own.
  process.env.APPLICATION_INSIGHTS_NO_STATSBEAT = "1";
  process.env.APPLICATIONINSIGHTS_CONFIGURATION_CONTENT = "{}";
  const { default: applicationInsights } = await import("applicationinsights");
  const client = new applicationInsights.TelemetryClient(options.connectionString, {
    useGlobalProviders: false,
  });
  let delivery = new Delivery(new AbortController().signal);
  configure(client, options, () => delivery);

  return {
    send: async (items, traceParent, signal) => {
      delivery = new Delivery(signal);
      for (let at = 0; at < items.length; at += itemsAtOnce) {
        for (const item of items.slice(at, at + itemsAtOnce)) {
          if ("metric" in item) {
            trackMetric(client, item.metric);
          } else {
            delivery.operation = operationOf(traceParent, item.operation);
            trackEvent(client, item.event, item.operation);
          }
        }
        await client.flush();
        delivery.throwIfFailed();
      }
      delivery.throwIfIncomplete(items.length);
    },
  };
}

/** Numbers are measurements, everything else is text. */
function trackEvent(client: TelemetryClient, { name, properties }: TelemetryEvent, operation: string): void {
  const texts: Record<string, string> = { operation };
  const measurements: Record<string, number> = {};
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "number") {
      measurements[key] = value;
    } else {
      texts[key] = String(value);
    }
  }
  client.trackEvent({ name, properties: texts, measurements });
}

/** The package makes histograms of metrics, and a histogram leaves out what is below zero. */
function trackMetric(client: TelemetryClient, { name, value, properties }: TelemetryMetric): void {
  client.trackMetric({ name, value: Math.max(0, value), properties });
}

function configure(
  client: TelemetryClient,
  { connectionString, credential, role }: ClientOptions,
  delivery: () => Delivery,
): void {
  client.config.azureMonitorOpenTelemetryOptions = {
    // Replaces the package's own as a whole: without the connection string there would be none.
    azureMonitorExporterOptions: {
      connectionString,
      // What is kept on disk is lost with the instance, and a file that waits would pass for delivered.
      disableOfflineStorage: true,
      ...(credential === undefined ? {} : { credential: watchingTokens(credential, delivery) }),
      retryOptions: { maxRetries: 2, retryDelayInMs: 250, maxRetryDelayInMs: 1_000 },
      additionalPolicies: [{ policy: watchingRequests(delivery), position: "perCall" }],
    },
    resource: resourceOf({ "service.name": role, "service.version": version }),
    logRecordProcessors: [
      {
        // The only way in for an operation id: the package takes it from the active span, and here is none.
        onEmit: (record) => void Object.assign(record, { spanContext: delivery().operation }),
        forceFlush: async () => {},
        shutdown: async () => {},
      },
    ],
  };
}

/** Sees every request, around its retries: the package's `flush` succeeds whatever became of them. */
function watchingRequests(delivery: () => Delivery): PipelinePolicy {
  return {
    name: "watchDelivery",
    sendRequest: async (request, next) => {
      const current = delivery();
      request.abortSignal = current.signal;
      const response = await current.watch(next(request));
      current.answered(response.status, response.bodyAsText);
      return response;
    },
  };
}

/** Tokens are asked for before the first policy that could see it. */
function watchingTokens(credential: TokenCredential, delivery: () => Delivery): TokenCredential {
  return { getToken: (scopes, options) => delivery().watch(credential.getToken(scopes, options)) };
}

/** What becomes of one flush. */
class Delivery {
  readonly signal: AbortSignal;
  operation: Operation | undefined;
  #accepted = 0;
  #error: RotatorError | undefined;

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  answered(status: number, body: string | null | undefined): void {
    if (status === 200 || status === 206) {
      this.#accepted += acceptedIn(body);
    } else {
      this.#error ??= new RotatorError(clientProblems.TelemetryRefused, { facts: { status } });
    }
  }

  async watch<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.#error ??= error instanceof RotatorError ? error : unreachable(error);
      throw error;
    }
  }

  throwIfFailed(): void {
    if (this.#error !== undefined) {
      throw this.#error;
    }
  }

  throwIfIncomplete(sent: number): void {
    if (this.#accepted < sent) {
      const facts = { sent, accepted: this.#accepted };
      throw new RotatorError(clientProblems.TelemetryIncomplete, { facts });
    }
  }
}

function unreachable(cause: unknown): RotatorError {
  const { code } = cause as { readonly code?: unknown };
  const facts: Facts = typeof code === "string" ? { errorCode: code } : {};
  return new RotatorError(clientProblems.TelemetryUnreachable, { cause, facts });
}

function acceptedIn(body: string | null | undefined): number {
  try {
    const { itemsAccepted } = JSON.parse(body ?? "") as { itemsAccepted?: unknown };
    return typeof itemsAccepted === "number" ? itemsAccepted : 0;
  } catch {
    return 0;
  }
}

interface Operation {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

/** That of the host, so that its traces and ours are one operation; without one, the tick's own. */
function operationOf(traceParent: string | undefined, operation: string): Operation {
  const [, traceId = operation.replaceAll("-", ""), spanId = ""] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-/.exec(traceParent ?? "") ?? [];
  return { traceId, spanId, traceFlags: 1 };
}

type Resource = NonNullable<TelemetryClient["config"]["azureMonitorOpenTelemetryOptions"]["resource"]>;

/** Without one the role would be `unknown_service:node`. The package exports nothing that makes one. */
function resourceOf(attributes: Readonly<Record<string, string>>): Resource {
  const resource: Resource = {
    attributes,
    merge: () => resource,
    getRawAttributes: () => Object.entries(attributes),
  };
  return resource;
}
