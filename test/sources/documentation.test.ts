import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { exportJWK } from "jose";
import { parseConfiguration } from "../../src/config/parse.ts";
import { startDatabricks } from "../../src/local/databricks.ts";
import { startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { startOAuthServer } from "../../src/local/oauthServer.ts";
import { startOci } from "../../src/local/oci.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import { clientSecretBasic, publicClient } from "../../src/oauth/authentication.ts";
import { oauthProblems } from "../../src/oauth/problems.ts";
import { firstIdentity } from "../local/support.ts";
import { holding } from "../oauth/setup.ts";
import { aMint, type Surroundings, surround } from "./setup.ts";

type Source = { readonly kind: string } & Readonly<Record<string, unknown>>;

let surroundings: Surroundings;
/** The addresses of the examples, and where the counterparts of them really are. */
let addresses: Readonly<Record<string, string>>;
let authorityHost: string;
/** Where the configuration would be; a module lies beside it. */
let configurationDirectory: string;

before(async () => {
  surroundings = await surround({
    resources: [
      { identifier: "api://AzureADTokenExchange" },
      { identifier: "api://databricks-federation" },
      { identifier: "api://oci-token-exchange" },
      { identifier: "https://ossrdbms-aad.database.windows.net" },
      { identifier: "https://example.org/7d22ece1-dd60-4279-a911-4b7b95934f2e" },
    ],
  });
  const { azure } = surroundings;
  const { clientId, objectId: subject } = firstIdentity(azure);
  const issuer = `${azure.issuer.url}/${azure.issuer.tenantId}/`;
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 });
  surroundings.store("partner-client-secret", "partner-secret");
  surroundings.store("databricks-client-secret", "databricks-secret");
  surroundings.store(
    "partner-client-key",
    key.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  );
  const partner = await startOAuthServer(azure, {
    issuerPath: "/realms/partner",
    federation: azure.issuer,
    scopes: ["orders.read"],
    clients: [
      { clientId: "token-rotator", secret: "partner-secret" },
      { clientId: "token-rotator-key", publicKey: await exportJWK(key.publicKey) },
      {
        clientId: "token-rotator-federated",
        federated: [{ issuer, audiences: ["api://AzureADTokenExchange"], subject }],
      },
    ],
  });
  const databricks = await startDatabricks(azure, {
    entra: azure.issuer,
    servicePrincipals: [
      { clientId: "0b0c9d5e-1111-4222-8333-444444444444", secret: "databricks-secret" },
      {
        clientId: "0b0c9d5e-5555-4666-8777-888888888888",
        federated: [{ issuer, audiences: ["api://databricks-federation"], subject }],
      },
      { clientId },
      { clientId: "databricks-cli", redirectUris: ["http://127.0.0.1/callback"] },
    ],
    instances: ["orders"],
    endpoints: ["projects/shop/branches/main/endpoints/primary"],
  });
  const redirectUris = ["http://127.0.0.1/callback"];
  const people = await startOAuthServer(azure, {
    issuerPath: "/realms/people",
    scopes: ["orders.read"],
    clients: [{ clientId: "token-rotator", secret: "people-secret", redirectUris }],
  });
  const microsoft = await startMicrosoftOAuth(azure, {
    clients: [{ clientId: "4a1c0b7e-2222-4333-8444-555555555555", redirectUris }],
  });
  authorityHost = microsoft.authorityHost;
  surroundings.store("people-client-secret", "people-secret");
  for (const [secret, server, clientId, authentication, scopes] of [
    [
      "onedrive-refresh-token",
      microsoft.server,
      "4a1c0b7e-2222-4333-8444-555555555555",
      publicClient,
      ["Files.ReadWrite.All"],
    ],
    [
      "people-refresh-token",
      people,
      "token-rotator",
      clientSecretBasic(holding("people-secret")),
      ["orders.read"],
    ],
    ["databricks-refresh-token", databricks.workspace, "databricks-cli", publicClient, ["all-apis"]],
  ] as const) {
    const { environment } = surroundings;
    const token = await signedIn(server, environment, { clientId, authentication, scopes });
    surroundings.store(secret, token);
  }
  const oci = await startOci(azure, {
    clients: [{ clientId: "a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5", secret: "oci-secret" }],
    trusts: [{ issuer, audiences: ["api://oci-token-exchange"], subject }],
    federation: azure.issuer,
  });
  surroundings.store("oci-client-secret", "oci-secret");
  const api = await azure.serve({
    name: "orders",
    routes: [
      {
        operation: "tokens",
        method: "POST",
        path: "/v1/tokens",
        handle: ({ headers }) =>
          headers.authorization === "ApiKey orders-key"
            ? { status: 200, body: { token: "an-orders-token", expires_in: 1800 } }
            : { status: 401 },
      },
    ],
  });
  surroundings.store("orders-api-key", "orders-key");
  configurationDirectory = await mkdtemp(join(tmpdir(), "documented-"));
  await mkdir(join(configurationDirectory, "sources"));
  const [, code = ""] = /```js\n(.*?)```/s.exec(await page("module")) ?? [];
  await writeFile(join(configurationDirectory, "sources/orders.mjs"), code);
  addresses = {
    "https://login.example.org/realms/people": people.issuer,
    "https://idcs-0123456789abcdef0123456789abcdef.identity.oraclecloud.com": oci.url,
    "https://api.example.org": api,
    "https://login.example.org": partner.url,
    "https://adb-1234567890123456.7.azuredatabricks.net": databricks.url,
    "https://accounts.azuredatabricks.net": databricks.accountUrl,
  };
});
after(async () => {
  await rm(configurationDirectory, { recursive: true });
  await surroundings[Symbol.asyncDispose]();
});

for (const [kind, examples] of [
  ["oauth-client-credentials", 3],
  ["databricks-oauth", 3],
  ["lakebase", 2],
  ["entra", 2],
  ["oauth-refresh-token", 3],
  ["oci-session", 1],
  ["module", 1],
] as const) {
  describe(`docs/sources/${kind}.md`, () => {
    it("has examples that mint", async () => {
      const found = (await sourcesIn(kind)).filter((source) => source.kind === kind);
      assert.equal(found.length, examples);
      for (const source of found) {
        const made = await surroundings.source(source, { authorityHost, configurationDirectory });
        const token = await made.mint(aMint());
        assert.ok(token.expiresOn.getTime() > surroundings.clock.now(), JSON.stringify(source));
      }
    });
  });
}

describe("docs/sources", () => {
  it("has configurations that are valid as they stand", async () => {
    const pages = (await readdir(new URL("../../docs/sources/", import.meta.url))).map((file) =>
      file.replace(/\.md$/, ""),
    );
    for (const kind of pages) {
      for (const [, json = ""] of (await page(kind)).matchAll(/```json\n(.*?)```/gs)) {
        if ("rotations" in JSON.parse(json)) {
          const { problems } = parseConfiguration(json, { file: "rotations.json", environment: {} });
          assert.deepEqual(problems, [], kind);
        }
      }
    }
  });
});

describe("docs/sources/oauth-client-credentials.md", () => {
  it("names every problem that its grant can end with", async () => {
    const text = await page("oauth-client-credentials");
    const elsewhere = new Set([
      // Of sources that sign somebody in, or that exchange a token.
      "SubjectTokenRefused",
      "RefreshTokenRefused",
      "RefreshTokenExpired",
      "RefreshTokenRevoked",
      "InteractionRequired",
      "ConsentRequired",
      "ConditionalAccessBlocked",
      "AccountDisabled",
      "SignInDenied",
      "SignInStateMismatch",
      "SignInCodeRefused",
      "SignInTimedOut",
      // A fault in the program or the configuration's schema, which refuses it first.
      "AddressNotSafe",
      "ClientSecretMissing",
      "ClientMustBePublic",
    ]);
    for (const code of Object.keys(oauthProblems)) {
      assert.ok(elsewhere.has(code) || text.includes(`\`${code}\``), code);
    }
  });
});

async function page(kind: string): Promise<string> {
  return await readFile(new URL(`../../docs/sources/${kind}.md`, import.meta.url), "utf8");
}

/** The sources of every JSON example, with the addresses of the counterparts. */
async function sourcesIn(kind: string): Promise<readonly Source[]> {
  let text = await page(kind);
  for (const [documented, real] of Object.entries(addresses)) {
    text = text.replaceAll(documented, real);
  }
  return [...text.matchAll(/```json\n(.*?)```/gs)].flatMap(([, json = ""]) => {
    const example: { rotations?: Record<string, { source: Source }> } & Source = JSON.parse(json);
    return example.rotations === undefined
      ? [example]
      : Object.values(example.rotations).map(({ source }) => source);
  });
}
