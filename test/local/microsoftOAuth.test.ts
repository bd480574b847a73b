import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import { clientSecretPost } from "../../src/oauth/authentication.ts";
import { holding, type Setup, setUp } from "../oauth/setup.ts";
import { VirtualClock } from "../virtualClock.ts";

const clock = new VirtualClock(Date.UTC(2026, 0, 2, 3, 4, 5));
const scope = "offline_access User.Read";
let setup: Setup;
let microsoft: MicrosoftOAuth;
let token: string;

before(async () => {
  setup = await setUp({ clock });
  const redirectUris = ["http://127.0.0.1/callback"];
  microsoft = await startMicrosoftOAuth(setup.azure, {
    clients: [
      { clientId: "rotator", redirectUris },
      { clientId: "confidential", secret: "right", redirectUris },
    ],
  });
  token = await signedIn(microsoft.server, setup.environment, { scopes: scope.split(" ") });
});
after(() => setup[Symbol.asyncDispose]());
afterEach(() => {
  microsoft.refusal = undefined;
});

async function post(form: Record<string, string>, endpoint = "/consumers/oauth2/v2.0/token") {
  const url = `${microsoft.authorityHost}${endpoint}`;
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(form) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function refresh(form: Record<string, string> = {}) {
  return post({ grant_type: "refresh_token", client_id: "rotator", refresh_token: token, scope, ...form });
}

describe("Microsoft's token endpoint", () => {
  it("gives a new refresh token with every use, and still takes the old one", async () => {
    const seen = new Set([token]);
    for (let use = 1; use <= 3; use += 1) {
      const { status, body } = await refresh();
      assert.equal(status, 200);
      assert.deepEqual([body.token_type, body.expires_in, body.ext_expires_in], ["Bearer", 3600, 3600]);
      assert.equal(body.scope, "User.Read");
      seen.add(String(body.refresh_token));
    }
    assert.equal(seen.size, 4);
  });

  it("ends refresh tokens after 90 days", async () => {
    const { body } = await refresh();
    const form = { refresh_token: String(body.refresh_token) };
    await clock.advance(90 * 86_400_000 - 1000);
    assert.equal((await refresh(form)).status, 200);
    await clock.advance(2000);
    assert.deepEqual((await refresh(form)).body.error_codes, [70000]);
    token = await signedIn(microsoft.server, setup.environment, { scopes: scope.split(" ") });
  });

  it("has errors in Microsoft's shape", async () => {
    microsoft.refusal = 50173;
    const { status, body } = await refresh();
    assert.equal(status, 400);
    const { trace_id: trace, correlation_id: correlation, timestamp, ...rest } = body;
    const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
    assert.match(String(trace), guid);
    assert.match(String(correlation), guid);
    assert.match(String(timestamp), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/);
    assert.deepEqual(rest, {
      error: "invalid_grant",
      error_description: `AADSTS50173: The provided grant has expired due to it being revoked. Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
      error_codes: [50173],
    });
  });

  it("has a number for everything that is wrong", async () => {
    const confidential = await signedIn(microsoft.server, setup.environment, {
      clientId: "confidential",
      authentication: clientSecretPost(holding("right")),
      scopes: scope.split(" "),
    });
    const cases: [Record<string, string>, number, string, number][] = [
      [{ refresh_token: "another" }, 400, "invalid_grant", 70000],
      [{ client_secret: "any" }, 401, "invalid_client", 700025],
      [{ client_id: "nobody" }, 400, "unauthorized_client", 700016],
      [{ client_id: "confidential", refresh_token: confidential }, 401, "invalid_client", 7000218],
      [
        { client_id: "confidential", refresh_token: confidential, client_secret: "wrong" },
        401,
        "invalid_client",
        7000215,
      ],
      [{ scope: "Mail.Read" }, 400, "invalid_scope", 70011],
      [{ scope: "offline_access,User.Read" }, 400, "invalid_scope", 70011],
      [{ grant_type: "password" }, 400, "unsupported_grant_type", 900144],
    ];
    for (const [form, status, error, number] of cases) {
      const answer = await refresh(form);
      assert.deepEqual(
        [answer.status, answer.body.error, answer.body.error_codes],
        [status, error, [number]],
      );
    }
    const elsewhere = await post({}, "/contoso.onmicrosoft.com/oauth2/v2.0/token");
    assert.deepEqual(elsewhere.body.error_codes, [90002]);
  });

  it("lets a device wait", async () => {
    const { body } = await post({ client_id: "rotator", scope }, "/consumers/oauth2/v2.0/devicecode");
    assert.equal(body.verification_uri, `${microsoft.authorityHost}/consumers/oauth2/deviceauth`);
    const waiting = await post({
      grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      client_id: "rotator",
      device_code: String(body.device_code),
    });
    assert.deepEqual([waiting.body.error, waiting.body.error_codes], ["authorization_pending", [70016]]);
  });
});
