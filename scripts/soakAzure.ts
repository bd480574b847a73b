import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type EmbeddedAzure, startEmbeddedAzure } from "../src/local/azure.ts";
import { startBlobs } from "../src/local/blobs.ts";
import { startContainerApps } from "../src/local/containerApps.ts";
import { type Ingestion, startIngestion } from "../src/local/ingestion.ts";
import { startOAuthServer } from "../src/local/oauthServer.ts";
import { signedIn } from "../src/local/signedIn.ts";
import { safeFetch } from "../src/oauth/safeFetch.ts";
import { SecretValue } from "../src/secretValue.ts";
import type { VirtualClock } from "../src/simulation/virtualClock.ts";

/** The world of a soak, in the process that watches. */
export interface SoakAzure extends AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly ingestion: Ingestion;
  /** Path of the configuration. */
  readonly file: string;
  /** What the function app would have in its settings. */
  readonly environment: Readonly<Record<string, string>>;
}

const hourSeconds = 3_600;
const monthSeconds = 30 * 24 * hourSeconds;
const managedIdentities = 36;
const clientCredentials = 2;
const refreshTokens = 2;
const apps = 2;
const group =
  "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.App";
const clientSecret = "the-secret-of-the-service";

/**
 * An Azure with all that a function app may have to do with: managed identities, an OAuth server that takes each refresh
 * token once, leases, Container Apps and a component of Application Insights; and a configuration that uses it all. Tokens
 * live for an hour.
 */
export async function startSoakAzure(clock: VirtualClock, directory: string): Promise<SoakAzure> {
  const azure = await startEmbeddedAzure({
    clock,
    caCertificateFile: join(directory, "ca.pem"),
    tokens: { lifetimeSeconds: hourSeconds },
  });
  const [identity] = azure.identity.identities;
  for (let index = 0; index < managedIdentities; index += 1) {
    azure.issuer.register({ identifier: resourceOf(index) });
  }
  const server = await startOAuthServer(azure, {
    name: "partner",
    clients: [
      { clientId: "service", secret: clientSecret },
      { clientId: "person", redirectUris: ["http://127.0.0.1/callback"] },
    ],
    lifetimes: { accessToken: hourSeconds, refreshToken: monthSeconds, session: monthSeconds },
  });
  azure.vault.secrets.set("client-secret", new SecretValue(clientSecret));
  {
    using _trust = azure.trustInThisProcess();
    for (let index = 0; index < refreshTokens; index += 1) {
      const scopes = ["all-apis", "offline_access"];
      const refreshToken = await signedIn(
        server,
        { clock, fetch: safeFetch() },
        { clientId: "person", scopes },
      );
      azure.vault.secrets.set(`refresh-token-${index}`, refreshToken);
    }
  }
  const blobs = await startBlobs(azure, azure.issuer);
  const ingestion = await startIngestion(azure, azure.issuer, { clientId: identity?.clientId ?? "" });
  const resourceManager = await startContainerApps(azure, azure.issuer, { vaults: azure.vaults.values() });
  for (let index = 0; index < apps; index += 1) {
    resourceManager.addApp({
      id: appOf(index),
      secrets: [{ name: "token", value: "not-yet" }],
      template: { containers: [{ name: "app", env: [{ name: "TOKEN", secretRef: "token" }] }] },
    });
  }
  const file = join(directory, "rotations.json");
  await writeFile(file, JSON.stringify({ rotations: rotationsWith(server.issuer) }));
  return {
    azure,
    ingestion,
    file,
    environment: {
      ...azure.environment,
      ...ingestion.environment,
      AZURE_RESOURCE_MANAGER_URL: resourceManager.url,
      LEASE_CONTAINER_URL: blobs.leaseContainerUrl,
    },
    [Symbol.asyncDispose]: () => azure.stop(),
  };
}

function rotationsWith(issuer: string): object {
  const rotations: Record<string, object> = {};
  const add = (name: string, source: object, more: object = {}) => {
    rotations[name] = { source, outputs: [{ secret: `token-${name}` }], ...more };
  };
  for (let index = 0; index < managedIdentities; index += 1) {
    const name = `identity-${index}`;
    const consumers = [
      { kind: "container-app", app: appOf(index), secret: "token", output: `token-${name}` },
    ];
    const scope = `${resourceOf(index)}/.default`;
    add(name, { kind: "entra", scope }, index < apps ? { consumers } : {});
  }
  for (let index = 0; index < clientCredentials; index += 1) {
    add(`service-${index}`, {
      kind: "oauth-client-credentials",
      issuer,
      clientId: "service",
      clientSecret: { secret: "client-secret" },
      // Not the same source twice: those would share a token.
      scopes: index === 0 ? [] : ["all-apis"],
    });
  }
  for (let index = 0; index < refreshTokens; index += 1) {
    add(`person-${index}`, {
      kind: "oauth-refresh-token",
      issuer,
      clientId: "person",
      scopes: ["all-apis", "offline_access"],
      refreshToken: { secret: `refresh-token-${index}` },
    });
  }
  return rotations;
}

function resourceOf(index: number): string {
  return `https://r${index}.example.org`;
}

function appOf(index: number): string {
  return `${group}/containerApps/app-${index}`;
}
