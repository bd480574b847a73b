import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { accessOf, authLevelOf, isCrossSite, requireSignIn } from "../../src/http/access.ts";
import { endpoint } from "../../src/http/endpoint.ts";
import { aRequest, Scene } from "./scene.ts";

describe("who lets callers in", () => {
  test("keys, unless Entra is named exactly", () => {
    for (const [setting, access, level] of [
      [undefined, "key", "function"],
      ["", "key", "function"],
      ["Entra", "key", "function"],
      ["anonymous", "key", "function"],
      ["entra", "entra", "anonymous"],
    ] as const) {
      assert.equal(accessOf({ HTTP_ACCESS: setting }), access);
      assert.equal(authLevelOf(access), level);
    }
  });

  test("a sign-in counts only where the platform vouches for it", () => {
    const signedIn = { "x-ms-client-principal-id": "6d1f3f4a-0000-4000-8000-000000000000" };
    for (const [headers, environment, accepted] of [
      [signedIn, { WEBSITE_AUTH_ENABLED: "True" }, true],
      [signedIn, { WEBSITE_AUTH_ENABLED: "true" }, true],
      [signedIn, { WEBSITE_AUTH_ENABLED: "False" }, false],
      [signedIn, {}, false],
      [{ "x-ms-client-principal-id": "" }, { WEBSITE_AUTH_ENABLED: "True" }, false],
      [{}, { WEBSITE_AUTH_ENABLED: "True" }, false],
    ] as const) {
      const attempt = () =>
        requireSignIn(aRequest({ headers: headers as Record<string, string> }), environment);
      if (accepted) {
        assert.doesNotThrow(attempt);
      } else {
        assert.throws(attempt, { code: "SignInNeeded" });
      }
    }
  });

  test("behind Entra nobody gets an answer without a sign-in, and a key is nobody's business", async () => {
    const scene = new Scene();
    let answered = 0;
    const handler = endpoint(
      async () => async () => {
        answered += 1;
        return { status: 200 };
      },
      { runner: scene.runner, access: "entra", environment: { WEBSITE_AUTH_ENABLED: "True" } },
    );
    const stranger = aRequest({ headers: { "x-functions-key": "a-key" } });
    const { status, jsonBody, body } = (await handler(stranger, scene.context)) as Record<string, unknown>;
    assert.equal(status, 401);
    assert.equal(jsonBody, undefined);
    assert.equal(JSON.parse(body as string).code, "SignInNeeded");
    assert.equal(answered, 0);
    await handler(aRequest({ headers: { "x-ms-client-principal-id": "me" } }), scene.context);
    assert.equal(answered, 1);
  });
});

test("a request is cross-site when its browser says so", () => {
  const url = "https://rotator.example.org/api/tick";
  for (const [headers, crossSite] of [
    [{}, false],
    [{ "sec-fetch-site": "same-origin" }, false],
    [{ "sec-fetch-site": "none" }, false],
    [{ "sec-fetch-site": "same-site" }, true],
    [{ "sec-fetch-site": "cross-site" }, true],
    // What the browser says itself counts more than an origin that a proxy may have another name for.
    [{ "sec-fetch-site": "same-origin", origin: "https://public.example.org" }, false],
    [{ "sec-fetch-site": "cross-site", origin: "https://rotator.example.org" }, true],
    [{ origin: "https://rotator.example.org" }, false],
    [{ origin: "https://rotator.example.org:8443" }, true],
    [{ origin: "https://evil.example.org" }, true],
    [{ origin: "null" }, true],
    [{ origin: "" }, true],
  ] as const) {
    assert.equal(isCrossSite(aRequest({ method: "POST", url, headers })), crossSite, JSON.stringify(headers));
  }
});
