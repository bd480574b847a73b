import assert from "node:assert/strict";
import { test } from "node:test";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken, epoch, hours } from "../builders.ts";
import { complaints, formatOf, layOut } from "./layOut.ts";

const token = aToken({
  text: "an-access-token",
  companions: { refreshToken: new SecretValue("a-refresh-token") },
});
const given = { format: "onemount-auth", account: "somebody@example.com" } as const;

test("the mount finds all that its own file has", async () => {
  assert.deepEqual(JSON.parse(await layOut(given, token)), {
    config: {},
    account: "somebody@example.com",
    // Go reads it into an int64, which takes no fraction.
    expires_at: (epoch + hours) / 1000,
    access_token: "an-access-token",
    refresh_token: "a-refresh-token",
  });
});

test("a client of one's own is told to the mount, which refreshes with it", async () => {
  const own = {
    ...given,
    clientId: "0d1b2c3a-0000-4000-8000-000000000000",
    tokenUrl: "https://login.microsoftonline.com/consumers/oauth2/v2.0/token",
    codeUrl: "https://login.microsoftonline.com/consumers/oauth2/v2.0/authorize",
    redirectUrl: "https://login.live.com/oauth20_desktop.srf",
  };
  assert.deepEqual(JSON.parse(await layOut(own, token)).config, {
    clientID: own.clientId,
    codeURL: own.codeUrl,
    tokenURL: own.tokenUrl,
    redirectURL: own.redirectUrl,
  });
  assert.deepEqual(complaints({ ...own, tokenUrl: "http://example.org/token" }), ["tokenUrl"]);
});

test("the refresh token is left out only when asked for, and missed only when wanted", async () => {
  const omitting = await formatOf({ ...given, refreshToken: "omit" });
  assert.equal(JSON.parse(omitting.render(aToken()).value.reveal()).refresh_token, "");
  const including = await formatOf(given);
  assert.throws(() => including.render(aToken()), {
    code: "FormatFieldMissing",
    facts: { field: "companions.refreshToken" },
  });
});
