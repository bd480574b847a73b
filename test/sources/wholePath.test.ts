import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { compose } from "../../src/compose.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { type EmbeddedOci, startOci } from "../../src/local/oci.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import type { Rotator } from "../../src/rotator.ts";
import { minutes } from "../builders.ts";
import { RecordingTelemetry } from "../fakes/recordingTelemetry.ts";
import { firstIdentity } from "../local/support.ts";
import { takeIdentity } from "../processIdentity.ts";
import { VirtualClock } from "../virtualClock.ts";

/* From the configuration to the vault and the telemetry, with everything real but the cloud. */

const scopes = ["Files.ReadWrite.All", "offline_access"];
/** At the machine's time, which MSAL keeps. */
const clock = new VirtualClock(systemClock.now());
const telemetry = new RecordingTelemetry();
const refreshToken = { secret: "onedrive-refresh-token" };
const signsIn = {
  kind: "oauth-refresh-token",
  tenant: "consumers",
  clientId: "rotator",
  scopes,
  refreshToken,
};
const module = { kind: "module", path: "mint.mjs", lifetime: "1h" };
let azure: EmbeddedAzure;
let microsoft: MicrosoftOAuth;
let oci: EmbeddedOci;
let directory: string;
let trust: Disposable;
let identity: Disposable;
let rotator: Rotator;

before(async () => {
  azure = await startEmbeddedAzure({ clock, resources: [{ identifier: "api://oci" }] });
  trust = azure.trustInThisProcess();
  microsoft = await startMicrosoftOAuth(azure, {
    clients: [{ clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] }],
  });
  oci = await startOci(azure, {
    clients: [{ clientId: "rotator", secret: "oci-client-secret" }],
    trusts: [
      {
        issuer: `${azure.issuer.url}/${azure.issuer.tenantId}/`,
        audiences: ["api://oci"],
        subject: firstIdentity(azure).objectId,
      },
    ],
    federation: azure.issuer,
  });
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "whole-path-"));
  await writeFile(
    join(directory, "mint.mjs"),
    'export const mint = ({ now }) => ({ token: "of-the-module", expiresOn: new Date(now() + 3_600_000) });',
  );
  keep("oci-client-secret", "oci-client-secret");
  keep(refreshToken.secret, await aRefreshToken());
  rotator = compose(
    parseConfiguration(JSON.stringify({ rotations: rotations() }), {
      file: join(directory, "rotations.json"),
      environment: azure.environment,
    }),
    {
      environment: { ...azure.environment, AZURE_AUTHORITY_HOST: microsoft.authorityHost },
      telemetry,
      clock,
    },
  );
  assert.deepEqual(rotator.configuration.problems, []);
});
after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
  assert.deepEqual(azure.requests.defects, []);
});
afterEach(() => {
  microsoft.refusal = undefined;
  oci.sessionsEndAt = undefined;
});

function rotations(): object {
  const subject = { kind: "entra", scope: "api://oci/.default" };
  const clientSecret = { secret: "oci-client-secret" };
  const session = { kind: "oci-session", domain: oci.url, clientId: "rotator", clientSecret, subject };
  return {
    onedrive: {
      source: signsIn,
      outputs: [
        { secret: "onedrive-token" },
        { secret: "onedrive-auth", format: "onemount-auth", account: "somebody@example.org" },
      ],
    },
    oci: {
      source: { ...session, keyPair: { secret: "oci-key-pair" } },
      outputs: [
        { secret: "oci-token" },
        { secret: "oci-key", format: "private-key" },
        { secret: "oci-session", format: "oci-bundle" },
      ],
    },
    own: { source: module, outputs: [{ secret: "own-token" }] },
    fallback: {
      source: [{ ...signsIn, refreshToken: { secret: "other-refresh-token" } }, module],
      outputs: [{ secret: "fallback-token" }],
    },
  };
}

async function aRefreshToken(): Promise<string> {
  return await signedIn(microsoft.server, { clock, fetch: safeFetch() }, { scopes });
}

function keep(name: string, text: string): void {
  azure.vault.secrets.set(name, text);
}

function values(name: string): string[] {
  return azure.vault.secrets.versions(name).map(({ value }) => value.reveal());
}

async function outcomes(...names: string[]): Promise<string[]> {
  const { rotations: results } = await rotator.tick({ names });
  return results.map(({ outcome, error }) => (error === undefined ? outcome : `${outcome} ${error.code}`));
}

describe("the whole path", () => {
  it("leads from every source to its outputs, and says so", async () => {
    assert.deepEqual(await outcomes("onedrive", "oci", "own"), ["Rotated", "Rotated", "Rotated"]);
    const [auth] = values("onedrive-auth").map((text) => JSON.parse(text));
    assert.equal(auth.access_token, values("onedrive-token")[0]);
    assert.equal(auth.refresh_token, values(refreshToken.secret)[1]);
    const [bundle] = values("oci-session").map((text) => JSON.parse(text));
    assert.deepEqual([bundle.token, bundle.privateKey], [values("oci-token")[0], values("oci-key")[0]]);
    assert.deepEqual(values("oci-key"), values("oci-key-pair"));
    assert.deepEqual(values("own-token"), ["of-the-module"]);
    for (const { freshness, rotation } of await rotator.status({ names: ["onedrive", "oci", "own"] })) {
      assert.equal(freshness, "fresh", rotation);
    }
    assert.equal(telemetry.of("RotationSucceeded").length, 3);
  });

  it("uses a fallback until the first source works again", async () => {
    assert.deepEqual(await outcomes("fallback"), ["Rotated"]);
    assert.deepEqual(values("fallback-token"), ["of-the-module"]);
    const [used] = telemetry.of("FallbackUsed");
    assert.deepEqual(used, {
      rotation: "fallback",
      kind: "module",
      position: 1,
      code: "SignInRequired",
    });
    keep("other-refresh-token", await aRefreshToken());
    await clock.advance(50 * minutes);
    assert.deepEqual(await outcomes("fallback"), ["Rotated"]);
    assert.notEqual(values("fallback-token")[1], "of-the-module");
    assert.equal(telemetry.of("FallbackUsed").length, 1);
  });

  it("writes no session that ends when the last one does", async () => {
    const [first] = azure.vault.secrets.versions("oci-token");
    assert.ok(first?.expires);
    oci.sessionsEndAt = first.expires * 1000;
    assert.deepEqual(await outcomes("oci"), ["Failed TokenNotRenewed"]);
    assert.equal(values("oci-token").length, 1);
    oci.sessionsEndAt = undefined;
    assert.deepEqual(await outcomes("oci"), ["Rotated"]);
    assert.equal(new Set(values("oci-token")).size, 2);
    // The key is the same; its new version only carries the new expiry.
    assert.equal(new Set(values("oci-key")).size, 1);
  });

  it("asks for a sign-in at every tick, and the provider only once", async () => {
    const published = values("onedrive-token").length;
    microsoft.refusal = 50173;
    assert.deepEqual(await outcomes("onedrive"), ["SignInRequired SignInRequired"]);
    const asked = azure.requests.count("microsoft.token");
    assert.deepEqual(await outcomes("onedrive"), ["SignInRequired SignInRequired"]);
    assert.equal(azure.requests.count("microsoft.token"), asked);
    assert.equal(values("onedrive-token").length, published, "the last good version stays");
    for (const { command, stage, code } of telemetry.of("SignInRequired")) {
      assert.equal(command, "token-rotator login onedrive");
      assert.deepEqual([stage, code], ["mint", "SignInRequired"]);
    }
    microsoft.refusal = undefined;
    keep(refreshToken.secret, await aRefreshToken());
    assert.deepEqual(await outcomes("onedrive"), ["Rotated"]);
  });

  it("tells nothing secret", () => {
    const told = JSON.stringify(telemetry);
    for (const { name } of azure.vault.secrets.list()) {
      for (const value of values(name)) {
        assert.ok(!told.includes(value) && !told.includes(encodeURIComponent(value)), name);
      }
    }
  });
});
