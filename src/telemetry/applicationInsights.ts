import { unlessAborted } from "../core/deadline.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { IdentityCredential } from "../identity.ts";
import type { Telemetry } from "../ports.ts";
import type { ApplicationInsightsClient, Item } from "./applicationInsightsClient.ts";
import type { Log } from "./logTelemetry.ts";

export interface ApplicationInsightsOptions {
  /**
   * As `infra` and the platform set it: `APPLICATIONINSIGHTS_CONNECTION_STRING`, `WEBSITE_SITE_NAME` and, read as the
   * Functions host reads it, `APPLICATIONINSIGHTS_AUTHENTICATION_STRING` (`ClientId=…;Authorization=AAD`).
   */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The identity that the rotator runs as. Asked for only where the component wants Entra tokens. */
  readonly credential: () => Promise<IdentityCredential>;
  readonly log: Log;
  /** The W3C `traceparent` of the invocation under way, where the host gives one. */
  readonly traceParent: () => string | undefined;
}

const applicationInsightsProblems = problems({
  ConnectionStringInvalid: {
    message: "APPLICATIONINSIGHTS_CONNECTION_STRING is no connection string of Application Insights.",
    remedy:
      "Copy it from the component's overview: InstrumentationKey is a lower-case UUID, IngestionEndpoint an https address.",
    retryable: false,
  },
  TelemetrySlow: {
    message:
      "Application Insights did not take the telemetry of this tick in time; what was left of it is lost.",
    remedy:
      "Once in a while it does no harm; otherwise look at the app's network and at Azure's status page.",
    retryable: true,
  },
});

/**
 * Application Insights, off the critical path: what is said is kept as plain data, and the package is loaded and
 * everything is sent when the sink is flushed, after the tokens are written. What cannot be sent is lost and said in the
 * log, with no retry on the next tick: it tells the state of things then.
 *
 * Exceptions are left to the Functions host, which reports an invocation that failed.
 */
export function createApplicationInsights(options: ApplicationInsightsOptions): Telemetry {
  const { environment, log, traceParent } = options;
  if (!environment.APPLICATIONINSIGHTS_CONNECTION_STRING) {
    return createNoInsights(log);
  }
  let events: Item[] = [];
  /** By series: where two ticks have spoken before a flush, the later one holds. */
  const metrics = new Map<string, Item>();
  let connected: Promise<ApplicationInsightsClient> | undefined;

  const client = () => {
    connected ??= connect(options).catch((error: unknown) => {
      connected = undefined;
      throw error;
    });
    return connected;
  };
  const send = async (items: readonly Item[], signal: AbortSignal) => {
    await (await client()).send(items, traceParent(), signal);
  };

  return {
    event: (event, operation) => void events.push({ event, operation }),
    metric: (metric) => {
      const { name, properties } = metric;
      metrics.set([name, properties.rotation, properties.vault, properties.output].join(" "), { metric });
    },
    flush: async (signal) => {
      // Events first: alerts hang on them, and count the time to an expiry on by themselves.
      const items = [...events, ...metrics.values()];
      metrics.clear();
      events = [];
      if (items.length === 0) {
        return;
      }
      try {
        await unlessAborted(signal, send(items, signal));
      } catch (thrown) {
        const error = signal.aborted
          ? new RotatorError(applicationInsightsProblems.TelemetrySlow)
          : asRotatorError(thrown);
        const { code, summary, remedy } = error;
        log("warn", JSON.stringify({ event: "TelemetrySinkFailed", code, message: summary, remedy }));
      }
    },
  };
}

/** Keeps nothing, and says so once. */
function createNoInsights(log: Log): Telemetry {
  let saidOff = false;
  return {
    event: () => {},
    metric: () => {},
    flush: async () => {
      if (!saidOff) {
        saidOff = true;
        log("info", "APPLICATIONINSIGHTS_CONNECTION_STRING is not set: events stay in this log.");
      }
    },
  };
}

async function connect(options: ApplicationInsightsOptions): Promise<ApplicationInsightsClient> {
  const { environment, credential } = options;
  const fields = fieldsOf(environment.APPLICATIONINSIGHTS_CONNECTION_STRING ?? "");
  if (!leadSomewhere(fields)) {
    throw new RotatorError(applicationInsightsProblems.ConnectionStringInvalid);
  }
  const { authorization, clientid } = fieldsOf(environment.APPLICATIONINSIGHTS_AUTHENTICATION_STRING ?? "");
  const { createClient } = await import("./applicationInsightsClient.ts");
  return await createClient({
    // Written anew: the package trips over a space.
    connectionString: Object.entries(fields)
      .map((field) => field.join("="))
      .join(";"),
    role: environment.WEBSITE_SITE_NAME || "keyvault-token-rotator",
    ...(authorization?.toUpperCase() === "AAD"
      ? { credential: clientid ? await (await credential()).withClientId(clientid) : await credential() }
      : {}),
  });
}

/** The package itself checks too late, and then drops everything without a word. */
function leadSomewhere({ instrumentationkey = "", ingestionendpoint }: Fields): boolean {
  return (
    /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(instrumentationkey) &&
    // Without one it is that of the public cloud.
    (ingestionendpoint === undefined ||
      (URL.canParse(ingestionendpoint) && new URL(ingestionendpoint).protocol === "https:"))
  );
}

type Fields = Readonly<Record<string, string>>;

/** Names in lower case: they are written in any. */
function fieldsOf(text: string): Fields {
  const fields = text.split(";").map((field) => {
    const [name = "", value = ""] = field.split("=");
    return [name.trim().toLowerCase(), value.trim()];
  });
  return Object.fromEntries(fields.filter(([name]) => name !== ""));
}
