import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { tagNames, versionTags } from "../../src/core/tags.ts";
import { createRotator, type TickReport } from "../../src/index.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { startContainerApps } from "../../src/local/containerApps.ts";
import { startOAuthServer } from "../../src/local/oauthServer.ts";
import type { RequestRecord } from "../../src/local/requestLog.ts";
import type { SecretAction } from "../../src/local/vaultAccess.ts";
import { impatientClock } from "../impatientClock.ts";
import { firstIdentity } from "../local/support.ts";
import { takeIdentity } from "../processIdentity.ts";

/*
 * The custom roles against what is really called: an app with exactly these actions does everything that it can come to do,
 * and every action and every call that the roles name is among what it did.
 */

interface Entry {
  readonly action: string;
  readonly calls: readonly string[];
}

interface Role {
  readonly actions?: readonly Entry[];
  readonly dataActions?: readonly Entry[];
}

const roles: Readonly<Record<string, Role>> = JSON.parse(
  readFileSync(new URL("../../infra/roles.json", import.meta.url), "utf8"),
);
const entries = Object.values(roles).flatMap(({ actions = [], dataActions = [] }) => [
  ...actions,
  ...dataActions,
]);
const group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.App";
const app = `${group}/containerApps/reader`;
const job = `${group}/jobs/nightly`;
const scope = "https://ossrdbms-aad.database.windows.net/.default";

let azure: EmbeddedAzure;
let directory: string;
let trust: Disposable;
let identity: Disposable;
let environment: Readonly<Record<string, string>>;

before(async () => {
  azure = await startEmbeddedAzure({ clock: impatientClock() });
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "roles-"));
  const provider = await startOAuthServer(azure, {
    name: "partner",
    clients: [{ clientId: "rotator", secret: "a-client-secret-of-a-test" }],
  });
  const rotations = {
    plain: {
      source: { kind: "entra", scope },
      outputs: [{ secret: "plain" }],
      retire: { grace: "1h", keep: 2 },
    },
    app: {
      source: {
        kind: "oauth-client-credentials",
        issuer: provider.issuer,
        clientId: "rotator",
        clientSecret: { secret: "client-secret" },
      },
      outputs: [{ secret: "app-token" }],
      consumers: [
        { kind: "container-app", app, secret: "token", output: "app-token" },
        { kind: "container-app-job", job, secret: "token", output: "app-token" },
      ],
    },
  };
  await writeFile(join(directory, "rotations.json"), JSON.stringify({ rotations }));
  azure.vault.secrets.set("client-secret", "a-client-secret-of-a-test");

  const arm = await startContainerApps(azure, azure.issuer);
  const template = {
    containers: [{ name: "main", image: "example.org/a:1", env: [{ name: "TOKEN", secretRef: "token" }] }],
  };
  const secrets = [{ name: "token", value: "not-yet" }];
  arm.addApp({ id: app, secrets, template });
  arm.addJob({ id: job, secrets, template });
  environment = { ...azure.environment, AZURE_RESOURCE_MANAGER_URL: arm.url };

  const principalId = firstIdentity(azure).objectId;
  const dataActions = (role: string) =>
    (roles[role]?.dataActions ?? []).map(({ action }) => action as SecretAction);
  azure.vault.assignments = [
    { principalId, actions: dataActions("secretWriter") },
    // As the deployment derives them: what sources read, and outputs with consumers; outputs that are retired.
    { principalId, actions: dataActions("secretReader"), secrets: ["client-secret", "app-token"] },
    { principalId, actions: dataActions("secretUpdater"), secrets: ["plain"] },
  ];
  const actions = (role: string) => (roles[role]?.actions ?? []).map(({ action }) => action);
  arm.settings.assignments = [
    { principalId, scope: app, actions: actions("containerAppUpdater") },
    { principalId, scope: job, actions: actions("containerAppJobUpdater") },
  ];
});

after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
});

async function tick(): Promise<TickReport> {
  const rotator = await createRotator({
    file: join(directory, "rotations.json"),
    environment,
    clock: azure.clock,
  });
  return await rotator.tick();
}

function outcomes({ rotations }: TickReport): Record<string, string> {
  return Object.fromEntries(
    rotations.map(({ rotation, outcome, error }) => [rotation, error?.code ?? outcome]),
  );
}

/** A version as the rotator left it three days ago, expired two days ago. */
function seedOld(name: string, sequence: number): void {
  const day = 24 * 60 * 60 * 1000;
  const writtenAt = azure.clock.now() - 3 * day + sequence * 1000;
  const tags = versionTags({
    rotation: name,
    spec: "spec",
    token: `t${sequence}`,
    content: `c${sequence}`,
    operation: `o${sequence}`,
    issuedOn: new Date(writtenAt),
    sequence,
  });
  const expires = Math.floor((writtenAt + day) / 1000);
  azure.vault.secrets.set(name, `an-old-token-${sequence}`, { tags, expires }, writtenAt);
}

describe("with exactly the actions of infra/roles.json", () => {
  test("tokens are published, lost answers cleared up, old versions retired", async () => {
    for (const sequence of [1, 2, 3, 4]) {
      seedOld("plain", sequence);
    }
    azure.faults.inject({ operation: "keyvault.setSecret", match: "plain", kind: "lostResponse", times: 1 });
    assert.equal(outcomes(await tick()).plain, "Rotated");
    const versions = azure.vault.secrets.versions("plain");
    assert.equal(versions.length, 5, "the write whose answer was lost was not repeated");
    assert.equal(versions.filter(({ enabled }) => !enabled).length, 3);
  });

  test("what an app and a job have missed is brought to them, and the app restarted", async () => {
    // Published, but not propagated: a tick that ended in between.
    azure.vault.secrets.set("app-token", "left by a tick that was killed", {
      ...azure.vault.secrets.get("app-token"),
      tags: { ...azure.vault.secrets.get("app-token").tags, [tagNames.operation]: "another-operation" },
    });
    const { app: outcome } = outcomes(await tick());
    assert.equal(outcome, "Propagated");
  });

  test("no call was refused, and none was made that no role has", () => {
    const own = calls();
    const refused = own.filter(({ status = 0 }) => status === 403);
    assert.deepEqual(
      refused.map(({ method, path }) => `${method} ${path}`),
      [],
    );
    const granted = new Set(entries.map(({ action }) => action.toLowerCase()));
    const without = own.filter(({ action = "" }) => !granted.has(action.toLowerCase()));
    assert.deepEqual(
      without.map(({ method, path, action }) => `${action}: ${method} ${path}`),
      [],
    );
  });

  test("every action was needed, by every call that it is there for, and by no other", () => {
    const own = calls();
    for (const entry of entries) {
      const made = new Set(
        own
          .filter(({ action = "" }) => action.toLowerCase() === entry.action.toLowerCase())
          .map((call) => patternOf(call)),
      );
      assert.deepEqual([...made].sort(), [...entry.calls].sort(), entry.action);
    }
  });
});

/** What the app asked of vaults and of the resource manager, once it had got past authentication. */
function calls(): RequestRecord[] {
  return azure.requests.all.filter(
    ({ service, operation }) =>
      (service === "keyvault" || service === "containerApps") && !operation.endsWith(".challenge"),
  );
}

/** `GET /secrets/{name}/{version}`, as the roles write it. */
function patternOf({ method, path }: RequestRecord): string {
  const [, below = path] = path.split("/providers/Microsoft.App");
  const named = below
    .split("/")
    .filter(Boolean)
    .map((part, index, parts) => {
      if (index === 0 || ["versions", "listSecrets", "revisions", "restart", "replicas"].includes(part)) {
        return part;
      }
      const singular: Readonly<Record<string, string>> = {
        secrets: index === 1 ? "{name}" : "{version}",
        containerApps: index === 1 ? "{app}" : "{revision}",
        jobs: "{job}",
      };
      return singular[parts[0] ?? ""] ?? part;
    });
  return `${method} /${named.join("/")}`;
}
