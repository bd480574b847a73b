import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JWTPayload } from "jose";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type EmbeddedBlobs, startBlobs } from "../../src/local/blobs.ts";
import { type EmbeddedContainerApps, startContainerApps } from "../../src/local/containerApps.ts";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import type { Verdict } from "../../src/local/faults.ts";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { type EmbeddedOci, startOci } from "../../src/local/oci.ts";
import type { RequestRecord } from "../../src/local/requestLog.ts";
import type { VaultVersion } from "../../src/local/vaultSecrets.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { hours, minutes } from "../builders.ts";
import { firstIdentity } from "../local/support.ts";
import { signedIn } from "../sources/signedIn.ts";

const appId =
  "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/Microsoft.App/containerApps/app";
const strictSecret = "strict-refresh-token";
const strictScopes = ["offline_access", "all-apis"];
const microsoftSecret = "microsoft-refresh-token";
const microsoftScopes = ["offline_access", "User.Read"];
const clientSecret = "client-secret-of-the-test";

/** Where a process is killed. */
export interface Kill {
  readonly call: string;
  /** `before`: the call takes no effect. `after`: it does, and its answer is lost. */
  readonly when: "before" | "after";
}

/** How a tick ended. */
export interface TickEnd {
  readonly killed: boolean;
  /** `undefined` where the process was killed. */
  readonly exitCode: number | undefined;
  /** What it wrote to its standard error. */
  readonly output: string;
  /** Every call that it made, in the order of their arrival. */
  readonly calls: readonly string[];
}

/** What must be the same whether a process was killed or not. */
export interface End {
  /** Outputs whose version is enabled, intact, and lives for long. */
  readonly fresh: readonly string[];
  /** How many of the rotations with two outputs have one token in both. */
  readonly agreeing: number;
  readonly sessionFitsKey: boolean;
  readonly appHoldsNewest: boolean;
  readonly appRunsNewest: boolean;
  readonly replicas: number;
  readonly othersSecret: string | undefined;
  readonly strictAccepted: boolean;
  readonly microsoftAccepted: boolean;
}

/** How often what should happen once has happened: versions by secret; restarts and revisions of the app. */
export type Counts = Readonly<Record<string, number>>;

/**
 * An Azure with everything that a tick can touch, and processes that run the built function app against it. All outputs
 * are due; nobody has used the leases yet, and there is no key pair.
 */
export class World implements AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly #parts: Parts;
  readonly #stack: AsyncDisposableStack;
  /** What a first tick has written, by secret: the tags tell that it is ours. */
  readonly #first = new Map<string, VaultVersion>();
  app: EmbeddedContainerApp;

  /** @param tick The built function app's entry of the timer. */
  static async start(tick: string): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const parts = await startParts(tick, stack);
    const world = new World(parts, stack.move());
    await world.#signIn();
    const { exitCode, output } = await world.tick();
    assert.equal(exitCode, 0, output);
    for (const secret of outputs) {
      world.#first.set(secret, parts.azure.vault.secrets.find(secret));
    }
    return world;
  }

  private constructor(parts: Parts, stack: AsyncDisposableStack) {
    this.azure = parts.azure;
    this.#parts = parts;
    this.#stack = stack;
    this.app = addApp(parts.arm);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    assert.deepEqual(this.azure.requests.defects, []);
  }

  /** An hour after the first tick. */
  async reset(): Promise<void> {
    const { azure, arm, blobs } = this.#parts;
    const { secrets } = azure.vault;
    azure.faults.clear();
    for (const { name } of secrets.list()) {
      secrets.delete(name);
      secrets.purge(name);
    }
    await this.#signIn();
    const now = systemClock.now();
    for (const [name, { tags, contentType }] of this.#first) {
      const old = {
        ...tags,
        token: "of-the-first-tick",
        content: "of-the-first-tick",
        operation: `first-${name}`,
        issued: new Date(now - hours).toISOString(),
      };
      const expires = Math.floor((now + minutes) / 1000);
      secrets.set(name, `old ${name}`, { tags: old, expires, ...(contentType && { contentType }) });
    }
    blobs.clear();
    this.app = addApp(arm);
    azure.requests.clear();
  }

  /** What the operator puts into the vault. */
  async #signIn(): Promise<void> {
    const { azure, strict, microsoft } = this.#parts;
    const { secrets } = azure.vault;
    secrets.set(strictSecret, await this.#signInAt(strict, strictScopes));
    secrets.set(microsoftSecret, await this.#signInAt(microsoft.server, microsoftScopes));
    secrets.set("client-secret", clientSecret);
  }

  /** Runs one tick in a process of its own. Nothing that the process has sent takes effect once it is killed. */
  async tick(kill?: Kill): Promise<TickEnd> {
    const { faults } = this.azure;
    const { child, output } = this.#spawn();
    const ended = once(child, "exit");
    const names = new Map<RequestRecord, string>();
    const counts = new Map<string, number>();
    let killed = false;
    const stage = (record: RequestRecord, when: Kill["when"]): Verdict => {
      if (kill !== undefined && kill.when === when && kill.call === names.get(record)) {
        killed = child.kill("SIGKILL");
      }
      return killed ? "drop" : undefined;
    };
    const stop = faults.onCall({
      beforeCall: (record) => {
        const call = nameOf(record);
        const count = (counts.get(call) ?? 0) + 1;
        counts.set(call, count);
        names.set(record, count === 1 ? call : `${call} (${count})`);
        return stage(record, "before");
      },
      afterEffect: (record) => stage(record, "after"),
    });
    const [exitCode] = await ended;
    stop();
    return { killed, exitCode: exitCode ?? undefined, output: output(), calls: [...names.values()] };
  }

  /** A minute goes by for the leases: that of a dead process runs out. */
  passMinute(): void {
    this.azure.faults.inject({ operation: "blobs.*", kind: "clockSkew", ms: minutes });
  }

  /**
   * Whether a refresh token that is taken once is spent, and the one that was given for it has not come to the vault: what
   * nobody can mend but a person. Nothing may have been published that came with it.
   */
  get isLost(): boolean {
    const { requests, vault } = this.azure;
    const spent = requests.of("strict.token").filter(({ effect }) => effect).length;
    const isLost = vault.secrets.versions(strictSecret).length < 1 + spent;
    assert.ok(!isLost || vault.secrets.versions("api-token").length === 1, "published before it was stored");
    return isLost;
  }

  /** Why the refresh token in the vault was refused; `undefined` where it was not. */
  get refusal(): string | undefined {
    return this.azure.vault.secrets.find(strictSecret).tags?.["refused-because"];
  }

  /** Somebody signs in again. */
  async signInAgain(): Promise<void> {
    const { vault } = this.azure;
    vault.secrets.set(strictSecret, await this.#signInAt(this.#parts.strict, strictScopes));
  }

  /** What is left when all is done. Spends the refresh tokens. */
  async end(): Promise<End> {
    const { azure, oci, strict, microsoft } = this.#parts;
    const { secrets } = azure.vault;
    const current = (name: string) => secrets.find(name);
    const value = (name: string) => current(name).value.reveal();
    const now = systemClock.now();
    const [{ environment: runs } = { environment: new Map() }, ...others] = this.app.containers();
    const read = (text: string | SecretValue | undefined) =>
      text instanceof SecretValue ? text.reveal() : text;
    const held = new Map(
      this.app.secrets.configured.map((secret) => [
        secret.name,
        "value" in secret ? secret.value.reveal() : secret.keyVaultUrl,
      ]),
    );
    const session = await oci.verify(value("oci-token"), now).catch(() => undefined);
    return {
      fresh: outputs.filter((name) => {
        const { enabled, expires = 0, tags, value: held } = current(name);
        return enabled && expires * 1000 > now + 30 * minutes && tags?.content === held.fingerprint();
      }),
      agreeing: [
        ["database-token", "database-uri"],
        ["oci-token", "oci-key"],
      ].filter(([one = "", other = ""]) => current(one).tags?.token === current(other).tags?.token).length,
      sessionFitsKey: isBound(session, value("oci-key")) && value("oci-key") === value("oci-key-pair"),
      appHoldsNewest:
        held.get("database-uri") === value("database-uri") && held.get("api-key") === value("api-token"),
      appRunsNewest:
        read(runs.get("DATABASE_URI")) === value("database-uri") &&
        read(runs.get("API_KEY")) === value("api-token"),
      replicas: 1 + others.length,
      othersSecret: held.get("somebody-elses"),
      strictAccepted: await isAccepted(strict, value(strictSecret), strictScopes),
      microsoftAccepted: await isAccepted(microsoft.server, value(microsoftSecret), microsoftScopes),
    };
  }

  get counts(): Counts {
    const { secrets } = this.azure.vault;
    const names = [...outputs, strictSecret, microsoftSecret, "oci-key-pair"];
    return {
      ...Object.fromEntries(names.map((name) => [name, secrets.versions(name).length])),
      restarts: this.app.restarts,
      revisions: this.app.revisions.length,
    };
  }

  #spawn(): { child: ChildProcess; output: () => string } {
    const { tick, environment } = this.#parts;
    const oneTick = fileURLToPath(new URL("../../bench/oneTick.ts", import.meta.url));
    const child = spawn(process.execPath, [oneTick, tick], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const chunks: Buffer[] = [];
    child.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk));
    return { child, output: () => Buffer.concat(chunks).toString("utf8") };
  }

  #signInAt(server: OAuthServer, scopes: readonly string[]): Promise<string> {
    return signedIn(server, { clock: systemClock, fetch: safeFetch() }, { scopes });
  }
}

/** The same in every run: without ports and without what is drawn by lot. */
function nameOf({ operation, target }: RequestRecord): string {
  const stable = target.replace(/127\.0\.0\.1_\d+_(.*)_[0-9a-f]{32}$/, "$1").replace(/--\w+$/, "");
  return stable === "" ? operation : `${operation} ${stable}`;
}

async function isAccepted(
  server: OAuthServer,
  refreshToken: string,
  scopes: readonly string[],
): Promise<boolean> {
  const body = new URLSearchParams({
    grant_type: "refresh_token",
    client_id: "rotator",
    refresh_token: refreshToken,
    scope: scopes.join(" "),
  });
  return (await fetch(server.tokenEndpoint, { method: "POST", body })).ok;
}

function isBound(session: JWTPayload | undefined, privateKey: string): boolean {
  const { n } = createPublicKey(privateKey).export({ format: "jwk" });
  return JSON.parse(String(session?.jwk ?? "{}")).n === n;
}

interface Parts {
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

async function startParts(tick: string, stack: AsyncDisposableStack): Promise<Parts> {
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

/** Every secret that a tick publishes to. */
const outputs = ["database-token", "database-uri", "api-token", "mail-token", "oci-token", "oci-key"];

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
          keyPair: { secret: "oci-key-pair" },
        },
        outputs: [{ secret: "oci-token" }, { secret: "oci-key", format: "private-key" }],
      },
    },
  };
}

function addApp(arm: EmbeddedContainerApps): EmbeddedContainerApp {
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
