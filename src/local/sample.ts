import { randomBytes } from "node:crypto";
import { SecretValue } from "../secretValue.ts";
import type { EmbeddedAzure } from "./azure.ts";
import { startContainerApps } from "./containerApps.ts";
import { startDatabricks } from "./databricks.ts";
import type { EmbeddedContainerApp } from "./embeddedContainerApp.ts";
import type { Ingestion } from "./ingestion.ts";
import { startIngestion } from "./ingestion.ts";
import { startOAuthServer } from "./oauthServer.ts";
import type { EmbeddedPostgres } from "./postgres.ts";
import { startEmbeddedPostgres } from "./postgres.ts";
import { tokenLogin } from "./postgresLogin.ts";

export interface Sample {
  /** What `rotations.json` holds: a rotation for every token source. */
  readonly configuration: object;
  /** What the deployment would add to the function app's settings. */
  readonly environment: Readonly<Record<string, string>>;
  readonly postgres: EmbeddedPostgres;
  readonly app: EmbeddedContainerApp;
  readonly ingestion: Ingestion;
  stop(): Promise<void>;
}

const oracleScope = "https://example.org/7d22ece1-dd60-4279-a911-4b7b95934f2e";
const postgresResource = "https://ossrdbms-aad.database.windows.net";
const resourceGroup = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local";

/** How long tokens live in the sample, in seconds: short, so that one can watch them being replaced. */
export const sampleLifetimeSeconds = 720;
export const sampleTickSeconds = 10;

/**
 * Starts the systems that the sample's tokens are for, beside the embedded Azure, puts into the vault what an operator would
 * have put there, and gives the configuration that keeps all of them fresh.
 */
export async function startSample(azure: EmbeddedAzure): Promise<Sample> {
  const [identity] = azure.identity.identities;
  if (identity === undefined) {
    throw new RangeError("The sample needs a managed identity.");
  }
  azure.issuer.register({ identifier: oracleScope });
  azure.issuer.register({ identifier: postgresResource });
  const postgres = await startEmbeddedPostgres({
    clock: azure.clock,
    tls: azure.tls,
    verify: tokenLogin({
      clock: azure.clock,
      keys: azure.issuer.keys,
      audience: postgresResource,
      principals: { "postgres-mcp": identity.objectId },
    }),
  });
  const clientSecret = newSecret();
  const partner = await startOAuthServer(azure, {
    name: "partner",
    clients: [{ clientId: "rotator", secret: clientSecret.reveal() }],
    lifetimes: { accessToken: sampleLifetimeSeconds },
  });
  const databricks = await startDatabricks(azure, {
    entra: azure.issuer,
    servicePrincipals: [{ clientId: "service-principal", secret: clientSecret.reveal() }],
    instances: ["orders"],
  });
  databricks.workspace.lifetimes.accessToken = sampleLifetimeSeconds;
  databricks.credentialLifetime = sampleLifetimeSeconds;
  for (const name of ["partner-client-secret", "databricks-client-secret"]) {
    azure.vault.secrets.set(name, clientSecret.reveal());
  }
  const ingestion = await startIngestion(azure, azure.issuer, { clientId: identity.clientId });
  const resourceManager = await startContainerApps(azure, azure.issuer, { vaults: azure.vaults.values() });
  const appId = `${resourceGroup}/providers/Microsoft.App/containerApps/postgres-mcp`;
  const app = resourceManager.addApp({
    id: appId,
    secrets: [{ name: "database-uri", value: "not-yet" }],
    template: {
      containers: [
        {
          name: "postgres-mcp",
          image: "example.org/postgres-mcp:1",
          env: [{ name: "DATABASE_URI", secretRef: "database-uri" }],
        },
      ],
    },
  });
  return {
    postgres,
    app,
    ingestion,
    environment: { AZURE_RESOURCE_MANAGER_URL: resourceManager.url, ...ingestion.environment },
    configuration: sampleConfiguration({
      appId,
      databricks: databricks.url,
      partner: partner.issuer,
      postgresPort: postgres.port,
    }),
    stop: () => postgres.stop(),
  };
}

interface Addresses {
  readonly appId: string;
  readonly databricks: string;
  readonly partner: string;
  readonly postgresPort: number;
}

function sampleConfiguration({ appId, databricks, partner, postgresPort }: Addresses): object {
  const databricksOauth = {
    kind: "databricks-oauth",
    host: databricks,
    clientId: "service-principal",
    clientSecret: { secret: "databricks-client-secret" },
  };
  const rotations = {
    "oracle-adb": {
      source: { kind: "entra", scope: `${oracleScope}/.default` },
      outputs: [{ secret: "oracle-entraid-token" }],
    },
    "postgres-mcp": {
      source: { kind: "entra", scope: `${postgresResource}/.default` },
      outputs: [
        {
          secret: "postgres-mcp-uri",
          format: "postgres-uri",
          host: "127.0.0.1",
          port: postgresPort,
          database: "app",
          user: "postgres-mcp",
        },
      ],
      probe: {
        kind: "postgres",
        host: "127.0.0.1",
        port: postgresPort,
        database: "app",
        user: "postgres-mcp",
      },
      consumers: [{ kind: "container-app", app: appId, secret: "database-uri", output: "postgres-mcp-uri" }],
    },
    "databricks-jobs": { source: databricksOauth, outputs: [{ secret: "databricks-token" }] },
    lakebase: {
      source: { kind: "lakebase", host: databricks, authorization: databricksOauth, instances: ["orders"] },
      outputs: [
        {
          secret: "lakebase-pgpass",
          format: "pgpass",
          host: "instance.example.org",
          user: "service-principal",
        },
      ],
    },
    "partner-api": {
      source: {
        kind: "oauth-client-credentials",
        issuer: partner,
        clientId: "rotator",
        clientSecret: { secret: "partner-client-secret" },
      },
      outputs: [{ secret: "partner-api-env", format: "dotenv", variables: { PARTNER_TOKEN: "{{ token }}" } }],
    },
  };
  const timing = { lifetime: `${sampleLifetimeSeconds}s`, propagation: "10s" };
  return {
    tick: `${sampleTickSeconds}s`,
    retryBudget: "20s",
    rotations: Object.fromEntries(
      Object.entries(rotations).map(([name, rotation]) => [name, { ...rotation, ...timing }]),
    ),
  };
}

/** Not for people to type; new at every start. */
function newSecret(): SecretValue {
  return new SecretValue(randomBytes(24).toString("base64url"));
}
