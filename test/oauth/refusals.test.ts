import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { RotatorError } from "../../src/errors.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { needsSignIn, oauthProblems } from "../../src/oauth/problems.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { seconds } from "../builders.ts";
import { VirtualClock } from "../virtualClock.ts";
import { aContext, assertSilent, failure, type Setup, setUp } from "./setup.ts";

const clock = new VirtualClock();
const canary = "canary-provider-text";
const traceId = "6f3dbbb1-b0a5-4b6c-9d1c-0f8f1d1f0000";
let setup: Setup;
let server: OAuthServer;

before(async () => {
  setup = await setUp({ clock });
  server = await startOAuthServer(setup.azure, { clients: [{ clientId: "rotator" }] });
});
after(() => setup[Symbol.asyncDispose]());
afterEach(() => setup.azure.faults.clear());

interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

type Grant = "clientCredentials" | "refresh" | "exchange";

async function refused({ status = 400, body = {}, headers = {} }: Answer, grant: Grant = "refresh") {
  const injected = setup.azure.faults.inject({
    operation: "oauth.token",
    kind: "answer",
    status,
    body,
    headers,
  });
  const client = setup.client({ server: { tokenEndpoint: server.tokenEndpoint } });
  const token = new SecretValue("canary-sent-token");
  const error = await failure(
    grant === "refresh"
      ? client.refresh(token, {}, aContext())
      : grant === "exchange"
        ? client.exchange({ subjectToken: token, subjectTokenType: "jwt" }, aContext())
        : client.clientCredentials({}, aContext()),
  );
  injected.remove();
  assertSilent(error, canary, "canary-sent-token");
  return error;
}

describe("an error of OAuth 2.0", () => {
  const cases: [string, string, boolean][] = [
    ["invalid_request", "RequestRefused", false],
    ["invalid_client", "ClientRefused", false],
    ["invalid_grant", "RefreshTokenRefused", false],
    ["unauthorized_client", "ClientNotAllowed", false],
    ["unsupported_grant_type", "GrantTypeUnsupported", false],
    ["invalid_scope", "ScopeRefused", false],
    ["invalid_target", "ResourceUnknown", false],
    ["access_denied", "AccessDenied", false],
    ["interaction_required", "InteractionRequired", false],
    ["login_required", "InteractionRequired", false],
    ["consent_required", "ConsentRequired", false],
    ["server_error", "ProviderUnavailable", true],
    ["temporarily_unavailable", "ProviderUnavailable", true],
    ["slow_down", "ProviderThrottled", true],
  ];
  for (const [code, problem, retryable] of cases) {
    it(`${code} becomes ${problem}`, async () => {
      const error = await refused({ body: { error: code, error_description: canary, error_uri: canary } });
      assert.deepEqual([error.code, error.retryable, error.facts.error], [problem, retryable, code]);
      assert.equal(error.facts.httpStatus, 400);
      assert.equal(error.facts.host, new URL(server.url).host);
    });
  }

  it("means another thing for another grant", async () => {
    const body = { error: "invalid_grant" };
    assert.equal((await refused({ body }, "exchange")).code, "SubjectTokenRefused");
    assert.equal((await refused({ body }, "clientCredentials")).code, "RequestRefused");
  });

  it("that nobody knows does not become a fact", async () => {
    const error = await refused({ body: { error: canary, error_codes: [canary], correlation_id: canary } });
    assert.equal(error.code, "RequestRefused");
    assert.deepEqual(Object.keys(error.facts).sort(), ["host", "httpStatus"]);
  });
});

describe("an error of Entra", () => {
  const cases: [number, string][] = [
    [7000215, "ClientSecretWrong"],
    [7000222, "ClientSecretExpired"],
    [7000218, "ClientSecretMissing"],
    [700025, "ClientMustBePublic"],
    [700213, "ClientAssertionRefused"],
    [700024, "ClientAssertionRefused"],
    [700016, "ClientUnknown"],
    [90002, "TenantUnknown"],
    [500011, "ResourceUnknown"],
    [70011, "ScopeRefused"],
    [65001, "ConsentRequired"],
    [50076, "InteractionRequired"],
    [50079, "InteractionRequired"],
    [53003, "ConditionalAccessBlocked"],
    [50057, "AccountDisabled"],
    [50173, "RefreshTokenRevoked"],
    [70008, "RefreshTokenExpired"],
    [700082, "RefreshTokenExpired"],
    [700084, "RefreshTokenExpired"],
    [90033, "ProviderUnavailable"],
  ];
  for (const [number, problem] of cases) {
    it(`AADSTS${number} becomes ${problem}`, async () => {
      const error = await refused({
        body: {
          error: "invalid_grant",
          error_description: `AADSTS${number}: ${canary}`,
          error_codes: [number],
          timestamp: "2026-01-01 00:00:00Z",
          trace_id: traceId,
          correlation_id: traceId.toUpperCase(),
        },
      });
      assert.equal(error.code, problem);
      assert.deepEqual(
        [error.facts.aadsts, error.facts.traceId, error.facts.correlationId],
        [number, traceId, traceId.toUpperCase()],
      );
    });
  }

  it("is known by its description where it brings no number", async () => {
    const body = { error: "invalid_client", error_description: `AADSTS7000222: ${canary}` };
    assert.equal((await refused({ body })).code, "ClientSecretExpired");
  });

  it("with a number that nobody knows is known by its OAuth code, and tells the number", async () => {
    const error = await refused({ body: { error: "invalid_grant", error_codes: [999999] } });
    assert.deepEqual([error.code, error.facts.aadsts], ["RefreshTokenRefused", 999999]);
  });
});

describe("an error of Databricks", () => {
  it("is read in each of its shapes", async () => {
    const cases: [Record<string, unknown>, string][] = [
      [{ errorCode: "invalid_client", errorSummary: canary }, "ClientRefused"],
      [{ error: "invalid_client", error_description: canary }, "ClientRefused"],
      [{ error_code: "PERMISSION_DENIED", message: canary }, "AccessDenied"],
      [{ error_code: "INVALID_PARAMETER_VALUE", message: canary }, "RequestRefused"],
      [{ error_code: "REQUEST_LIMIT_EXCEEDED", message: canary }, "ProviderThrottled"],
      [{ error_code: "TEMPORARILY_UNAVAILABLE", message: canary }, "ProviderUnavailable"],
    ];
    for (const [body, problem] of cases) {
      assert.equal((await refused({ body })).code, problem, JSON.stringify(body));
    }
  });
});

describe("a status", () => {
  it("that asks for patience is retryable, whatever the body says", async () => {
    for (const body of ["", "<html>", { error: "invalid_grant" }, undefined]) {
      for (const [status, problem] of [
        [408, "ProviderUnavailable"],
        [429, "ProviderThrottled"],
        [500, "ProviderUnavailable"],
        [502, "ProviderUnavailable"],
        [503, "ProviderUnavailable"],
        [504, "ProviderUnavailable"],
      ] as const) {
        const error = await refused({ status, body });
        assert.deepEqual([error.code, error.retryable, error.ambiguous], [problem, true, status >= 500]);
      }
    }
  });

  it("tells how long to wait, in seconds or until a date", async () => {
    const wait = async (status: number, header: string) =>
      (await refused({ status, headers: { "retry-after": header } })).retryAfterMs;
    assert.equal(await wait(429, "7"), 7 * seconds);
    assert.equal(await wait(503, new Date(clock.now() + 90 * seconds).toUTCString()), 90 * seconds);
    assert.equal(await wait(429, "soon"), undefined);
    // Nobody is going to try again.
    assert.equal(await wait(400, "7"), undefined);
  });

  it("without a body that can be read is told by itself", async () => {
    for (const [status, problem] of [
      [400, "TokenAnswerMalformed"],
      [401, "TokenAnswerMalformed"],
      [403, "TokenAnswerMalformed"],
      [404, "EndpointNotFound"],
      [405, "EndpointNotFound"],
    ] as const) {
      assert.equal((await refused({ status, body: `<html>${canary}</html>` })).code, problem, String(status));
    }
  });
});

describe("needsSignIn", () => {
  it("is true for what only a person can mend", () => {
    const codes = Object.values(oauthProblems)
      .filter((problem) => needsSignIn(new RotatorError(problem)))
      .map(({ code }) => code);
    assert.deepEqual(codes, [
      "RefreshTokenRefused",
      "RefreshTokenExpired",
      "RefreshTokenRevoked",
      "InteractionRequired",
      "ConsentRequired",
      "ConditionalAccessBlocked",
      "AccountDisabled",
    ]);
    assert.equal(needsSignIn(new Error("x")), false);
  });
});
