import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type EmbeddedBlobs, startBlobs } from "../../src/local/blobs.ts";
import { type EmbeddedContainerApps, startContainerApps } from "../../src/local/containerApps.ts";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { type EmbeddedOci, startOci } from "../../src/local/oci.ts";
import { firstIdentity } from "../local/support.ts";

const appId =
  "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/Microsoft.App/containerApps/app";
export const clientSecret = "client-secret-of-the-test";

/** A provider's refresh token in the vault, and what it is asked for. */
export const strictSecret = "strict-refresh-token";
export const strictScopes = ["offline_access", "all-apis"];
export const microsoftSecret = "microsoft-refresh-token";
export const microsoftScopes = ["offline_access", "User.Read"];
export const keyPairSecret = "oci-key-pair";

/** Every secret that a tick publishes to. */
export const outputs = ["database-token", "database-uri", "api-token", "mail-token", "oci-token", "oci-key"];

/** Everything that a tick can touch, and the environment of the process that runs it. */
export interface Surroundings {
  readonly tick: string;
  readonly azure: EmbeddedAzure;
  readonly arm: EmbeddedContainerApps;
  readonly blobs: EmbeddedBlobs;
  /** A refresh token that is used twice ends all that came of it. */
  readonly strict: OAuthServer;
  /** One that was used stays valid. */
  readonly microsoft: MicrosoftOAuth;
  readonly oci: EmbeddedOci;
  readonly environment: Readonly<Record<string, string>>;
}

/** @param tick The built function app's entry of the timer. */
export async function startSurroundings(tick: string, stack: AsyncDisposableStack): Promise<Surroundings> {
  const directory = await mkdtemp(join(tmpdir(), "kill-matrix-"));
  stack.defer(() => rm(directory, { recursive: true }));
  const azure = await startEmbeddedAzure({
    caCertificateFile: join(directory, "ca.pem"),
    resources: [{ identifier: "api://oci" }],
  });
  stack.use(azure);
  stack.use(azure.trustInThisProcess());
  const clients = [{ clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] }];
  const [arm, blobs, strict, microsoft, oci] = await Promise.all([
    startContainerApps(azure, azure.issuer, { vaults: azure.vaults.values() }),
    startBlobs(azure, azure.issuer),
    startOAuthServer(azure, { name: "strict", clients }),
    startMicrosoftOAuth(azure, { clients }),
    startOci(azure, {
      clients: [{ clientId: "rotator", secret: clientSecret }],
      trusts: [
        {
          issuer: `${azure.issuer.url}/${azure.issuer.tenantId}/`,
          audiences: ["api://oci"],
          subject: firstIdentity(azure).objectId,
        },
      ],
      federation: azure.issuer,
    }),
  ]);
  const file = join(directory, "rotations.json");
  await writeFile(file, JSON.stringify(configuration({ strict: strict.tokenEndpoint, oci: oci.url })));
  const environment = {
    ...azure.environment,
    ROTATIONS_FILE: file,
    AZURE_AUTHORITY_HOST: microsoft.authorityHost,
    AZURE_RESOURCE_MANAGER_URL: arm.url,
    LEASE_CONTAINER_URL: blobs.leaseContainerUrl,
    // Compiled once, as on a machine that has run the app before.
    NODE_COMPILE_CACHE: join(dirname(tick), "cache"),
  };
  return { tick, azure, arm, blobs, strict, microsoft, oci, environment };
}

/**
 * Two outputs of one rotation; refresh tokens that are taken once and ones that stay valid; two rotations that feed one
 * app; a session with a key pair.
 */
function configuration({ strict, oci }: { readonly strict: string; readonly oci: string }): object {
  const timing = { lifetime: "1h", propagation: "1m" };
  const consumer = { kind: "container-app", app: appId };
  return {
    tick: "1m",
    retryBudget: "20s",
    rotations: {
      database: {
        ...timing,
        source: { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" },
        outputs: [
          { secret: "database-token" },
          {
            secret: "database-uri",
            format: "postgres-uri",
            host: "db.example.org",
            database: "app",
            user: "app",
          },
        ],
        consumers: [{ ...consumer, secret: "database-uri", output: "database-uri" }],
      },
      api: {
        ...timing,
        source: {
          kind: "oauth-refresh-token",
          tokenEndpoint: strict,
          clientId: "rotator",
          scopes: strictScopes,
          refreshToken: { secret: strictSecret },
        },
        outputs: [{ secret: "api-token" }],
        consumers: [{ ...consumer, secret: "api-key", output: "api-token" }],
      },
      mail: {
        ...timing,
        source: {
          kind: "oauth-refresh-token",
          tenant: "consumers",
          clientId: "rotator",
          scopes: microsoftScopes,
          refreshToken: { secret: microsoftSecret },
        },
        outputs: [{ secret: "mail-token" }],
      },
      oci: {
        ...timing,
        source: {
          kind: "oci-session",
          domain: oci,
          clientId: "rotator",
          clientSecret: { secret: "client-secret" },
          subject: { kind: "entra", scope: "api://oci/.default" },
          keyPair: { secret: keyPairSecret },
        },
        outputs: [{ secret: "oci-token" }, { secret: "oci-key", format: "private-key" }],
      },
    },
  };
}

/** The app as it was before anything was rotated. Nothing that it is asked for takes time. */
export function addApp(arm: EmbeddedContainerApps): EmbeddedContainerApp {
  const app = arm.addApp({
    id: appId,
    secrets: [
      { name: "database-uri", value: "old database-uri" },
      { name: "api-key", value: "old api-key" },
      { name: "somebody-elses", value: "untouched" },
    ],
    template: {
      containers: [
        {
          name: "server",
          image: "example.org/server:1",
          env: [
            { name: "DATABASE_URI", secretRef: "database-uri" },
            { name: "API_KEY", secretRef: "api-key" },
          ],
        },
      ],
    },
  });
  app.updates = { ...app.updates, durationMs: 0 };
  app.replicaBehaviour = { ...app.replicaBehaviour, readyMs: 0, drainMs: 0 };
  return app;
}
