import { randomBytes } from "node:crypto";
import { safeFetch } from "../oauth/safeFetch.ts";
import { SecretValue } from "../secretValue.ts";
import type { EmbeddedAzure } from "./azure.ts";
import { startBlobs } from "./blobs.ts";
import { startContainerApps } from "./containerApps.ts";
import { startDatabricks } from "./databricks.ts";
import type { EmbeddedContainerApp } from "./embeddedContainerApp.ts";
import type { Ingestion } from "./ingestion.ts";
import { startIngestion } from "./ingestion.ts";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "./microsoftOAuth.ts";
import { startOAuthServer } from "./oauthServer.ts";
import { startOci } from "./oci.ts";
import type { EmbeddedPostgres } from "./postgres.ts";
import { startEmbeddedPostgres } from "./postgres.ts";
import { tokenLogin } from "./postgresLogin.ts";
import { signedIn } from "./signedIn.ts";

export interface Sample {
  /** What `rotations.json` holds: a rotation for every token source. */
  readonly configuration: object;
  /** The module that one of the rotations uses, to be put beside the configuration: name and text. */
  readonly module: { readonly name: string; readonly text: string };
  /** What the deployment would add to the function app's settings. */
  readonly environment: Readonly<Record<string, string>>;
  readonly postgres: EmbeddedPostgres;
  readonly app: EmbeddedContainerApp;
  readonly ingestion: Ingestion;
  stop(): Promise<void>;
}

const oracleScope = "https://example.org/7d22ece1-dd60-4279-a911-4b7b95934f2e";
const postgresResource = "https://ossrdbms-aad.database.windows.net";
const ociResource = "api://oci-federation";
const graphScopes = ["Files.ReadWrite.All", "offline_access"];
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
  for (const identifier of [oracleScope, postgresResource, ociResource]) {
    azure.issuer.register({ identifier });
  }
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
  const microsoft = await startMicrosoftOAuth(azure, {
    clients: [{ clientId: "onedrive-mount", redirectUris: ["http://127.0.0.1/callback"] }],
    lifetimes: { accessToken: sampleLifetimeSeconds },
  });
  const oci = await startOci(azure, {
    clients: [{ clientId: "rotator", secret: clientSecret.reveal() }],
    trusts: [
      {
        issuer: `${azure.issuer.url}/${azure.issuer.tenantId}/`,
        audiences: [ociResource],
        subject: identity.objectId,
      },
    ],
    federation: azure.issuer,
  });
  oci.sessionLifetime = sampleLifetimeSeconds;
  for (const name of ["partner-client-secret", "databricks-client-secret", "oci-client-secret"]) {
    azure.vault.secrets.set(name, clientSecret.reveal());
  }
  await signInToOneDrive(azure, microsoft);
  const blobs = await startBlobs(azure, azure.issuer);
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
    environment: {
      AZURE_RESOURCE_MANAGER_URL: resourceManager.url,
      AZURE_AUTHORITY_HOST: microsoft.authorityHost,
      LEASE_CONTAINER_URL: blobs.leaseContainerUrl,
      ...ingestion.environment,
    },
    configuration: sampleConfiguration({
      appId,
      pods: {
        clientId: identity.clientId,
        tenantId: azure.issuer.tenantId,
        pollInterval: `${sampleTickSeconds}s`,
      },
      databricks: databricks.url,
      oci: oci.url,
      partner: partner.issuer,
      postgresPort: postgres.port,
    }),
    module: { name: moduleName, text: moduleText },
    stop: () => postgres.stop(),
  };
}

/** As `token-rotator login onedrive` does: the refresh token goes straight to the vault. */
async function signInToOneDrive(azure: EmbeddedAzure, { server }: MicrosoftOAuth): Promise<void> {
  using _trust = azure.trustInThisProcess();
  const environment = { clock: azure.clock, fetch: safeFetch() };
  const refreshToken = await signedIn(server, environment, {
    scopes: graphScopes,
    clientId: "onedrive-mount",
  });
  azure.vault.secrets.set("onedrive-refresh-token", refreshToken);
}

const moduleName = "ticket.mjs";
const moduleText = `// A token source of one's own: docs/sources/module.md.
import { randomUUID } from "node:crypto";

/** @type {import("keyvault-token-rotator").MintFunction<{ minutes: number }>} */
export const mint = ({ now, options }) => ({
  token: \`ticket-\${randomUUID()}\`,
  expiresOn: new Date(now() + options.minutes * 60_000),
});
`;

interface Addresses {
  readonly appId: string;
  /** What every pod that mounts outputs has in common. */
  readonly pods: object;
  readonly databricks: string;
  readonly oci: string;
  readonly partner: string;
  readonly postgresPort: number;
}

function sampleConfiguration({ appId, pods, databricks, oci, partner, postgresPort }: Addresses): object {
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
      kubernetes: { ...pods, objects: [{ output: "oracle-entraid-token", alias: "token" }] },
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
      kubernetes: pods,
    },
    onedrive: {
      source: {
        kind: "oauth-refresh-token",
        tenant: "consumers",
        clientId: "onedrive-mount",
        scopes: graphScopes,
        refreshToken: { secret: "onedrive-refresh-token" },
      },
      outputs: [{ secret: "onedrive-auth-tokens", format: "onemount-auth", account: "somebody@example.org" }],
    },
    "oci-cli": {
      source: {
        kind: "oci-session",
        domain: oci,
        clientId: "rotator",
        clientSecret: { secret: "oci-client-secret" },
        subject: { kind: "entra", scope: `${ociResource}/.default` },
        keyPair: { secret: "oci-key-pair" },
      },
      outputs: [
        { secret: "oci-session-token" },
        { secret: "oci-session-key", format: "private-key" },
        { secret: "oci-session-bundle", format: "oci-bundle" },
      ],
      kubernetes: { ...pods, objects: [{ output: "oci-session-token" }, { output: "oci-session-key" }] },
    },
    ticket: {
      source: {
        kind: "module",
        path: moduleName,
        options: { minutes: sampleLifetimeSeconds / 60 },
        lifetime: `${sampleLifetimeSeconds}s`,
      },
      outputs: [{ secret: "ticket", format: "json", fields: { ticket: "token", expires: "expiresOn" } }],
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
