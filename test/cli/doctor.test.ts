import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import type { Check } from "../../src/doctor/check.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import type { SecretAction } from "../../src/local/vaultAccess.ts";
import { takeIdentity } from "../processIdentity.ts";
import { type CommandResult, command } from "./testIo.ts";

const scope = "https://ossrdbms-aad.database.windows.net/.default";

let azure: EmbeddedAzure;
let trust: Disposable;
let identity: Disposable;
let directory: string;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "doctor-"));
});
after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
});
afterEach(() => {
  azure.vault.assignments = undefined;
});

const plain = { source: { kind: "entra", scope }, outputs: [{ secret: "app-token" }] };
const withSecret = {
  source: {
    kind: "oauth-client-credentials",
    issuer: "https://login.example.org",
    clientId: "rotator",
    clientSecret: { secret: "client-secret" },
  },
  outputs: [{ secret: "partner-token" }],
};

async function run(rotations: object, environment: object = {}, ...argv: string[]): Promise<CommandResult> {
  await writeFile(join(directory, "rotations.json"), JSON.stringify({ rotations }));
  return await command(argv, { environment: { ...azure.environment, ...environment }, directory });
}

async function examine(rotations: object, environment: object = {}) {
  const { exitCode, stdout, stderr } = await run(rotations, environment, "doctor", "--json");
  assert.equal(stderr, "");
  const checks: Check[] = JSON.parse(stdout);
  const found = (name: string): Check => {
    const check = checks.find(({ check }) => check === name);
    assert.ok(check !== undefined, `${name} is not among ${checks.map(({ check }) => check)}`);
    return check;
  };
  return { exitCode, checks, found };
}

function allow(...actions: string[]): void {
  const [identity] = azure.identity.identities;
  azure.vault.assignments = [
    {
      principalId: identity?.objectId ?? "",
      actions: actions.map((action) => `Microsoft.KeyVault/vaults/secrets/${action}/action` as SecretAction),
    },
  ];
}

describe("doctor", () => {
  test("before the first tick and after it", async () => {
    const before = await examine({ app: plain });
    assert.equal(before.exitCode, 0);
    assert.equal(before.found("tick").state, "warn");
    assert.equal(before.found("write 127").state, "warn");
    assert.match(before.found("write 127").remedy ?? "", /--role "Key Vault Secrets Officer" --scope/);
    const writes = azure.requests.count("keyvault.setSecret");
    assert.equal(writes, 0, "it changes nothing");

    await run({ app: plain }, {}, "rotate");
    const { exitCode, checks, found } = await examine({ app: plain });
    assert.equal(exitCode, 0);
    assert.deepEqual([...new Set(checks.map(({ state }) => state))], ["ok"]);
    assert.match(found("budget app").message, /lifetime 1h/);
    assert.match(found("identity").message, new RegExp(`object ${azure.identity.identities[0]?.objectId}`));
    assert.match(found("list 127").message, /1 of 1 outputs are there/);
    assert.match(found("write 127").message, /cannot be tried without setting one; the rotator last did at /);
    assert.match(found("clock 127").message, /agree/);
    assert.equal(found("tick").state, "ok");
  });

  test("a role that is missing, with the command that grants it to whom these checks ran as", async () => {
    azure.vault.secrets.set("client-secret", "canary-client-secret");
    allow("readMetadata", "setSecret");
    const { exitCode, checks, found } = await examine({ partner: withSecret });
    assert.equal(exitCode, 1);
    const { state, message, remedy } = found("read 127/client-secret");
    assert.equal(state, "fail");
    assert.match(message, /^VaultForbidden: /);
    const { objectId } = azure.identity.identities[0] ?? {};
    assert.ok(
      remedy?.startsWith(
        `az role assignment create --assignee-object-id ${objectId} --assignee-principal-type ServicePrincipal --role "Key Vault Secrets User" --scope "$(az keyvault show --name 127 --query id --output tsv)/secrets/client-secret"`,
      ),
      remedy,
    );

    allow("getSecret");
    const blind = await examine({ partner: withSecret });
    assert.match(blind.found("list 127").remedy ?? "", /--role "Key Vault Reader" --scope "[^"]*tsv\)";/);
    assert.equal(blind.found("read 127/client-secret").state, "ok");
    assert.match(blind.found("tick").message, /cannot be told/);
    assert.doesNotMatch(JSON.stringify([checks, blind.checks]), /canary/);
  });

  test("a secret of a source that nobody has stored", async () => {
    const source = { ...withSecret.source, clientSecret: { secret: "other-secret" } };
    const { exitCode, found } = await examine({ partner: { ...withSecret, source } });
    assert.equal(exitCode, 1);
    assert.match(
      found("read 127/other-secret").remedy ?? "",
      /az keyvault secret set --vault-name 127 --name other-secret/,
    );
  });

  test("a refresh token that nobody has signed in for", async () => {
    const source = {
      kind: "oauth-refresh-token",
      tenant: "consumers",
      clientId: "mount",
      scopes: ["offline_access"],
      refreshToken: { secret: "refresh-token" },
    };
    const { exitCode, found } = await examine({ onedrive: { source, outputs: [{ secret: "onedrive" }] } });
    assert.equal(exitCode, 0);
    assert.equal(found("read 127/refresh-token").state, "warn");
    assert.match(found("read 127/refresh-token").remedy ?? "", /`token-rotator login onedrive`/);
  });

  test("an identity that gets no token: the rest is not tried, and not said to be well", async () => {
    const { exitCode, checks, found } = await examine(
      { app: plain },
      { AZURE_CLIENT_ID: "44444444-4444-4444-8444-444444444444" },
    );
    assert.equal(exitCode, 1);
    assert.match(found("identity").message, /^IdentityNotAssigned/);
    assert.equal(found("vault").state, "warn");
    assert.equal(
      checks.some(({ check }) => check.startsWith("list") || check === "tick"),
      false,
    );
  });

  test("a fault in the configuration ends with 2, and the rest is looked at all the same", async () => {
    const { exitCode, found } = await examine({ app: plain, broken: { ...plain, margin: "soon" } });
    assert.equal(exitCode, 2);
    assert.match(found("configuration").message, /rotations\.broken\.margin is not a duration/);
    assert.equal(found("identity").state, "ok");
  });

  test("for a person: a line for each, and the remedy below it", async () => {
    allow("setSecret");
    const { exitCode, stdout } = await run({ app: plain }, {}, "doctor");
    assert.equal(exitCode, 1);
    assert.match(stdout, /^ok {4}budget app\n {6}\S/m);
    assert.match(stdout, /^fail {2}list 127\n {6}VaultForbidden: .*\n {6}→ az role assignment create/m);
  });
});
