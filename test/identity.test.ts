import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { RotatorError } from "../src/errors.ts";
import { identityError, identityProblems } from "../src/identity/identityErrors.ts";
import { chooseIdentity, type IdentityCredential, isIdentityCredential } from "../src/identity.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../src/local/azure.ts";
import type { Call, Reply } from "../src/local/service.ts";

const clientId = "7d22ece1-dd60-4279-a911-4b7b95934f2e";
const otherClientId = "0d0fcb1e-6a8f-4f7c-8a7b-6c1f0f3c9b11";
const tenantId = "4b7b9593-4f2e-4279-a911-7d22ece1dd60";

describe("the identity is chosen by what the platform has set", () => {
  const appService = { IDENTITY_ENDPOINT: "http://127.0.0.1/msi/token", IDENTITY_HEADER: "x" };
  const pod = { AZURE_FEDERATED_TOKEN_FILE: "/token", AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: tenantId };
  for (const { name, environment, kind, description } of [
    {
      name: "Functions",
      environment: appService,
      kind: "managed",
      description: /^the system-assigned managed identity$/,
    },
    {
      name: "Functions with a user-assigned identity",
      environment: { ...appService, AZURE_CLIENT_ID: clientId },
      kind: "managed",
      description: /^the user-assigned managed identity 7d22ece1-/,
    },
    {
      name: "Functions without an identity",
      environment: { WEBSITE_INSTANCE_ID: "1" },
      kind: "managed",
      description: /managed/,
    },
    {
      name: "Container Apps without an identity",
      environment: { CONTAINER_APP_NAME: "a" },
      kind: "managed",
      description: /managed/,
    },
    {
      name: "a virtual machine that says so",
      environment: { AZURE_TOKEN_CREDENTIALS: "ManagedIdentityCredential" },
      kind: "managed",
      description: /managed/,
    },
    {
      name: "AKS",
      environment: pod,
      kind: "workload",
      description: /workload identity 7d22ece1-.* of the tenant 4b7b9593-/,
    },
    {
      name: "both, as the SDK has it",
      environment: { ...appService, ...pod },
      kind: "workload",
      description: /workload/,
    },
    { name: "a laptop", environment: {}, kind: "developer", description: /whoever is signed in/ },
    {
      name: "a laptop with empty variables",
      environment: { IDENTITY_ENDPOINT: "", AZURE_FEDERATED_TOKEN_FILE: "", AZURE_CLIENT_ID: "" },
      kind: "developer",
      description: /Azure CLI/,
    },
  ]) {
    test(name, () => {
      const identity = chooseIdentity(environment);
      assert.equal(identity.kind, kind);
      assert.match(identity.description, description);
    });
  }

  test("an app that has none says so at once, instead of looking for a virtual machine's", async () => {
    for (const environment of [{ WEBSITE_INSTANCE_ID: "1" }, { CONTAINER_APP_NAME: "a" }]) {
      await assert.rejects(chooseIdentity(environment).credential(), { code: "IdentityNotAssigned" });
    }
  });

  test("a pod that the webhook has not completed says so", async () => {
    for (const missing of ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"]) {
      const { credential } = chooseIdentity({ ...pod, [missing]: "" });
      await assert.rejects(credential(), { code: "WorkloadIdentityIncomplete" });
    }
  });
});

describe("a workload identity", () => {
  let azure: EmbeddedAzure;
  let trust: Disposable;
  let directory: string;
  let authorityHost: string;
  let answer: (call: Call, form: URLSearchParams) => Reply;
  let forms: URLSearchParams[] = [];
  const scope = "https://vault.azure.net/.default";

  before(async () => {
    azure = await startEmbeddedAzure();
    trust = azure.trustInThisProcess();
    directory = await mkdtemp(join(tmpdir(), "identity-test-"));
    await writeFile(join(directory, "token"), "the-service-account-token\n");
    authorityHost = await azure.serve({
      name: "login",
      routes: [
        {
          operation: "metadata",
          method: "GET",
          path: "/:tenant/v2.0/.well-known/openid-configuration",
          handle: (call) => {
            const base = `${call.origin}/${call.params.tenant}`;
            return {
              status: 200,
              body: {
                issuer: `${base}/v2.0`,
                authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
                token_endpoint: `${base}/oauth2/v2.0/token`,
                jwks_uri: `${base}/discovery/v2.0/keys`,
              },
            };
          },
        },
        {
          operation: "token",
          method: "POST",
          path: "/:tenant/oauth2/v2.0/token",
          handle: (call) => {
            const form = new URLSearchParams(call.body.toString());
            forms.push(form);
            return answer(call, form);
          },
        },
      ],
    });
  });

  after(async () => {
    trust[Symbol.dispose]();
    await azure.stop();
    await rm(directory, { recursive: true });
    assert.deepEqual(azure.requests.defects, []);
  });

  function aCredential(overrides: Record<string, string> = {}): Promise<IdentityCredential> {
    forms = [];
    let issued = 0;
    answer = (call) => {
      issued += 1;
      const token = `token-${issued}-of-${call.params.tenant}`;
      return { status: 200, body: { token_type: "Bearer", expires_in: 3_600, access_token: token } };
    };
    return chooseIdentity({
      AZURE_FEDERATED_TOKEN_FILE: join(directory, "token"),
      AZURE_CLIENT_ID: clientId,
      AZURE_TENANT_ID: tenantId,
      AZURE_AUTHORITY_HOST: authorityHost,
      ...overrides,
    }).credential();
  }

  test("exchanges the service account's token, answers from its cache, and goes past it when told to", async () => {
    const credential = await aCredential();
    assert.ok(isIdentityCredential(credential));
    const { token } = await credential.getToken(scope);
    assert.equal(token, `token-1-of-${tenantId}`);
    assert.equal(forms[0]?.get("client_assertion"), "the-service-account-token");
    assert.equal(forms[0]?.get("client_id"), clientId);
    assert.match(forms[0]?.get("scope") ?? "", /vault\.azure\.net/);
    assert.equal((await credential.getToken(scope)).token, token);
    assert.equal(forms.length, 1);
    const { token: next } = await credential.getNewToken(scope);
    assert.equal(next, `token-2-of-${tenantId}`);
    assert.equal((await credential.getToken(scope)).token, next);
    assert.equal(forms.length, 2);
  });

  test("can ask another tenant, and for another identity", async () => {
    const credential = await aCredential();
    const other = await credential.withClientId(otherClientId);
    const { token } = await other.getToken(scope, { tenantId: otherClientId });
    assert.equal(token, `token-1-of-${otherClientId}`);
    assert.equal(forms[0]?.get("client_id"), otherClientId);
  });

  for (const { code, number } of [
    { code: "FederationRefused", number: 700213 },
    { code: "IdentityUnknown", number: 700016 },
    { code: "TenantUnknown", number: 90002 },
    { code: "ResourceUnknown", number: 500011 },
  ]) {
    test(`AADSTS${number} is ${code}`, async () => {
      const credential = await aCredential();
      answer = () => ({
        status: 400,
        body: {
          error: "invalid_client",
          error_description: `AADSTS${number}: canary`,
          error_codes: [number],
        },
      });
      await assert.rejects(credential.getToken(scope), (error) => {
        assert.ok(error instanceof RotatorError);
        assert.equal(error.code, code);
        assert.deepEqual(error.facts, { identity: "workload", clientId, aadsts: number, httpStatus: 400 });
        assert.equal(forms.length, 1);
        return true;
      });
    });
  }

  test("a token file that is not there", async () => {
    const credential = await aCredential({ AZURE_FEDERATED_TOKEN_FILE: join(directory, "missing") });
    await assert.rejects(credential.getToken(scope), { code: "WorkloadIdentityIncomplete" });
  });

  test("an authority that throttles", async () => {
    const credential = await aCredential();
    answer = () => ({ status: 429, headers: { "retry-after": "30" }, body: {} });
    await assert.rejects(credential.getToken(scope), { code: "IdentityThrottled", retryAfterMs: 30_000 });
    assert.equal(forms.length, 1);
  });
});

describe("a developer", () => {
  test("who is not signed in anywhere is told to sign in", async () => {
    const path = process.env.PATH;
    try {
      process.env.PATH = "";
      const credential = await chooseIdentity({}).credential();
      assert.ok(isIdentityCredential(await credential.withClientId(clientId)));
      for (const call of [
        credential.getToken("https://vault.azure.net/.default"),
        credential.getNewToken("https://vault.azure.net/.default"),
      ]) {
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof RotatorError);
          assert.equal(error.code, "NotSignedIn");
          assert.deepEqual(error.facts, { identity: "developer" });
          return true;
        });
      }
    } finally {
      process.env.PATH = path;
    }
  });

  for (const { says, code } of [
    { says: "AADSTS500011: The resource principal named x was not found", code: "ResourceUnknown" },
    {
      says: "AADSTS50076: Due to a configuration change you must use multi-factor authentication",
      code: "NotSignedIn",
    },
    { says: "Please run 'az login' from a command prompt", code: "NotSignedIn" },
  ]) {
    test(`what the tools print: ${says.slice(0, 40)}`, () => {
      const summedUp = Object.assign(new Error("ChainedTokenCredential authentication failed."), {
        errors: [
          new Error("Azure Developer CLI could not be found."),
          new Error("wrapped", { cause: new Error(says) }),
        ],
      });
      assert.equal(identityError(summedUp, { kind: "developer" }).code, code);
    });
  }
});

for (const { says, code } of [
  {
    says: "ManagedIdentityCredential: Network unreachable. Message: network_error",
    code: "IdentityEndpointUnreachable",
  },
  { says: "getaddrinfo ENOTFOUND login.microsoftonline.com", code: "IdentityEndpointUnreachable" },
  { says: "EnvironmentCredential is unavailable.", code: "IdentityRefused" },
]) {
  test(`a credential that somebody else made: ${says}`, () => {
    assert.equal(identityError(new Error("wrapped", { cause: new Error(says) })).code, code);
  });
}

test("what the provider says is searched and not kept", () => {
  const error = identityError(new Error("AADSTS70021: canary", { cause: new Error("canary") }));
  assert.equal(error.code, "FederationRefused");
  assert.ok(
    ![error.message, error.stack, error.summary, String(error.cause), JSON.stringify(error)]
      .join()
      .includes("canary"),
  );
  const ours = new RotatorError(identityProblems.NotSignedIn);
  assert.equal(identityError(ours), ours);
});
