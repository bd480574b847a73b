import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { chooseIdentity } from "../../src/identity.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type Ingestion, startIngestion } from "../../src/local/ingestion.ts";
import type { Telemetry } from "../../src/ports.ts";
import {
  type ApplicationInsightsOptions,
  createApplicationInsights,
} from "../../src/telemetry/applicationInsights.ts";

/** A component in the embedded Azure that takes Entra tokens only, and the app's environment, set in this process. */
export interface Component extends AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly ingestion: Ingestion;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export async function startComponent(): Promise<Component> {
  stayOffTheInternet();
  const azure = await startEmbeddedAzure();
  const { AZURE_CLIENT_ID: clientId = "" } = azure.environment;
  const ingestion = await startIngestion(azure, azure.issuer, { clientId });
  const trusted = azure.trustInThisProcess();
  // @azure/identity reads these two from the real environment and from nowhere else.
  const { IDENTITY_ENDPOINT, IDENTITY_HEADER } = azure.environment;
  Object.assign(process.env, { IDENTITY_ENDPOINT, IDENTITY_HEADER });
  return {
    azure,
    ingestion,
    environment: { ...azure.environment, ...ingestion.environment, WEBSITE_SITE_NAME: "rotator-app" },
    [Symbol.asyncDispose]: async () => {
      trusted[Symbol.dispose]();
      await azure.stop();
    },
  };
}

export interface TestSink extends Telemetry {
  /** What it said in the log: `level line`. */
  readonly lines: readonly string[];
}

export interface SinkOverrides {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly credential?: ApplicationInsightsOptions["credential"];
  readonly traceParent?: string;
}

export function sinkOf(component: Component, overrides: SinkOverrides = {}): TestSink {
  const lines: string[] = [];
  const environment = { ...component.environment, ...overrides.environment };
  const sink = createApplicationInsights({
    environment,
    credential: overrides.credential ?? (() => chooseIdentity(environment).credential()),
    log: (level, line) => lines.push(`${level} ${line}`),
    traceParent: () => overrides.traceParent,
  });
  return { ...sink, lines };
}

/**
 * The package asks a server on the internet how to behave, some seconds after it was loaded. The bundle leaves that out
 * (`scripts/leanTelemetry.ts`); here it is not bundled.
 */
function stayOffTheInternet(): void {
  const require = createRequire(import.meta.resolve("applicationinsights"));
  const exporter = dirname(require.resolve("@azure/monitor-opentelemetry-exporter"));
  const { ConfigurationManager } = require(join(exporter, "_configuration/configurationManager.js"));
  ConfigurationManager.getInstance().initialize = () => {};
}
