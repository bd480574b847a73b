import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { within } from "../../src/core/deadline.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { clientSecretPost } from "../../src/oauth/authentication.ts";
import type { OAuthClient } from "../../src/oauth/client.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { hours, seconds } from "../builders.ts";
import { fc } from "../properties.ts";
import { VirtualClock } from "../virtualClock.ts";
import { aContext, assertSilent, failure, holding, type Setup, setUp } from "./setup.ts";

const clock = new VirtualClock();
const secrets = [
  "canary-client-secret",
  "canary-refresh-token",
  "canary-access-token",
  "canary-id-token",
] as const;
const [clientSecret, refreshToken, accessToken, idToken] = secrets;
const good = { access_token: accessToken, token_type: "Bearer", expires_in: 3600, refresh_token: "next" };
let setup: Setup;
let server: OAuthServer;
let client: OAuthClient;

before(async () => {
  setup = await setUp({ clock });
  server = await startOAuthServer(setup.azure, { clients: [{ clientId: "rotator", secret: clientSecret }] });
  client = setup.client({
    server: { tokenEndpoint: server.tokenEndpoint },
    authentication: clientSecretPost(holding(clientSecret)),
  });
});
after(() => setup[Symbol.asyncDispose]());
afterEach(() => setup.azure.faults.clear());

/** A refresh that the token endpoint answers like this. */
function refresh(body: unknown, headers: Record<string, string> = {}, status = 200) {
  setup.azure.faults.inject({ operation: "oauth.token", kind: "answer", status, body, headers, times: 1 });
  return client.refresh(new SecretValue(refreshToken), {}, aContext());
}

async function isMalformed(work: Promise<unknown>, why: string): Promise<void> {
  const error = await failure(work);
  assert.deepEqual([error.code, error.retryable, error.ambiguous], ["TokenAnswerMalformed", true, true], why);
  assertSilent(error, ...secrets);
}

const json = { "content-type": "application/json" };

describe("an answer of the token endpoint", () => {
  it("that is no JSON object is refused", async () => {
    const texts = [
      "",
      " ",
      "<!doctype html><title>Sign in</title>",
      "null",
      "[]",
      "7",
      '"text"',
      "{",
      "\u0000",
    ];
    for (const text of texts) {
      await isMalformed(refresh(text, json), text);
    }
    for (let length = 0; length < JSON.stringify(good).length; length += 7) {
      await isMalformed(refresh(JSON.stringify(good).slice(0, length), json), `the first ${length} octets`);
    }
  });

  it("counts only where it says that it is JSON", async () => {
    for (const type of [
      "text/html",
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/jsonp",
      "",
    ]) {
      await isMalformed(refresh(JSON.stringify(good), { "content-type": type }), type);
    }
    for (const type of ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"]) {
      await refresh(JSON.stringify(good), { "content-type": type });
    }
  });

  it("with a field of a wrong type is refused", async () => {
    const wrong: Record<string, readonly unknown[]> = {
      access_token: [undefined, null, 7, true, "", [], {}, [accessToken]],
      token_type: [undefined, null, 7, "", [], {}, "mac"],
      expires_in: [null, "soon", -1, true, [], {}, 1e300],
      refresh_token: [null, 7, "", [], {}],
      scope: [null, 7, [], {}],
    };
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        await isMalformed(refresh({ ...good, [field]: value }), `${field}: ${JSON.stringify(value)}`);
      }
    }
  });

  it("is a token or a problem that tells no secret, whatever it is", async () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(accessToken, idToken, 3600, "3600", "Bearer", 0, -1),
    );
    const fields = [
      "access_token",
      "token_type",
      "expires_in",
      "refresh_token",
      "id_token",
      "scope",
      "error",
    ];
    const body = fc.oneof(
      fc.record(Object.fromEntries(fields.map((field) => [field, value])), { requiredKeys: [] }),
      fc.jsonValue(),
      fc.string(),
    );
    const status = fc.constantFrom(200, 200, 200, 201, 204, 400, 401, 403, 418, 429, 500);
    await fc.assert(
      fc.asyncProperty(body, status, async (given, code) => {
        const startedAt = clock.now();
        const text = typeof given === "string" ? given : JSON.stringify(given);
        const answered = refresh(text, json, code).catch((error: unknown) => error);
        const result = (await answered) as { accessToken?: SecretValue; expiresOn: Date };
        if (result.accessToken instanceof SecretValue) {
          assert.ok(code < 300 && result.accessToken.reveal().length > 0);
          assert.ok(result.expiresOn.getTime() >= startedAt);
        } else {
          assertSilent(await failure(Promise.reject(result)), ...secrets);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("of 10 MB is not read to its end", async () => {
    const error = await failure(refresh({ ...good, padding: "x".repeat(10_000_000) }));
    assert.deepEqual([error.code, error.retryable], ["AnswerTooLarge", false]);
    assertSilent(error, ...secrets);
  });

  it("that does not come ends with the deadline", async () => {
    setup.azure.faults.inject({ operation: "oauth.token", kind: "latency", ms: 24 * hours });
    const startedAt = clock.now();
    const late = within(clock, 30 * seconds, undefined, (signal) =>
      client.refresh(new SecretValue(refreshToken), {}, aContext(signal)),
    );
    await assert.rejects(clock.run(late), { name: "DeadlinePassed" });
    assert.equal(clock.now(), startedAt + 30 * seconds);
  });

  it("that is lost may have had its effect", async () => {
    for (const fault of [{ kind: "lostResponse" }, { kind: "lostResponse", status: 502 }] as const) {
      setup.azure.faults.inject({ operation: "oauth.token", times: 1, ...fault });
      const error = await failure(client.clientCredentials({}, aContext()));
      assert.deepEqual([error.retryable, error.ambiguous], [true, true]);
      assertSilent(error, ...secrets);
    }
  });

  it("that is a redirect takes the secret nowhere", async () => {
    const elsewhere = await startOAuthServer(setup.azure, { name: "elsewhere" });
    for (const location of [server.tokenEndpoint, elsewhere.tokenEndpoint]) {
      for (const status of [301, 302, 303, 307, 308]) {
        const error = await failure(refresh("", { location }, status));
        assert.deepEqual([error.code, error.facts.httpStatus], ["RedirectRefused", status]);
        assertSilent(error, ...secrets);
      }
    }
    assert.equal(setup.azure.requests.count("elsewhere.token"), 0);
  });
});
