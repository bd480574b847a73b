import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { Browser, type Page } from "../../src/local/formBrowser.ts";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { minutes } from "../builders.ts";
import { takeIdentity } from "../processIdentity.ts";
import { VirtualClock } from "../virtualClock.ts";
import { type CommandResult, type CommandSurroundings, command } from "./testIo.ts";

const scopes = ["offline_access", "Files.ReadWrite.All"];
let azure: EmbeddedAzure;
let strict: OAuthServer;
let microsoft: MicrosoftOAuth;
let directory: string;
let trust: Disposable;
let identity: Disposable;
/** A secret of its own for every test. */
let secret: string;
let count = 0;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  const clients = [
    {
      clientId: "rotator",
      redirectUris: ["http://127.0.0.1/callback", "http://localhost", "http://127.0.0.1/elsewhere"],
    },
  ];
  strict = await startOAuthServer(azure, { clients, scopes: ["Files.ReadWrite.All"] });
  microsoft = await startMicrosoftOAuth(azure, { clients });
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "login-"));
});
after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
  assert.deepEqual(azure.requests.defects, []);
});
beforeEach(() => {
  count += 1;
  secret = `refresh-token-${count}`;
});
afterEach(() => azure.faults.clear());

type Options = Readonly<Record<string, unknown>>;

function source(options: Options = {}): object {
  return {
    kind: "oauth-refresh-token",
    issuer: strict.issuer,
    clientId: "rotator",
    scopes,
    refreshToken: { secret },
    ...options,
  };
}

function atMicrosoft(options: Options = {}): object {
  return source({ issuer: undefined, tenant: "consumers", ...options });
}

/** Writes a configuration of one rotation, `onedrive`, and calls the command. */
async function call(
  from: unknown,
  argv: readonly string[],
  surroundings: CommandSurroundings = {},
): Promise<CommandResult> {
  const rotation = { source: from, outputs: [{ secret: `token-${count}` }] };
  await writeFile(join(directory, "rotations.json"), JSON.stringify({ rotations: { onedrive: rotation } }));
  const result = await command(argv, {
    directory,
    ...surroundings,
    environment: {
      ...azure.environment,
      AZURE_AUTHORITY_HOST: microsoft.authorityHost,
      ...surroundings.environment,
    },
  });
  for (const { value } of azure.vault.secrets.versions(secret)) {
    assert.ok(!`${result.stdout}${result.stderr}`.includes(value.reveal()), "a refresh token is printed");
  }
  return result;
}

/** Calls `login onedrive --no-browser` and lets somebody do with the printed address what they like. */
async function login(
  from: unknown,
  argv: readonly string[],
  visit: (url: string) => Promise<unknown>,
  surroundings: CommandSurroundings = {},
): Promise<CommandResult> {
  let visited: Promise<unknown> = Promise.resolve();
  const onStderr = (text: string) => {
    const [url] = /https?:\/\/\S+authorize\?\S+/.exec(text) ?? [];
    if (url !== undefined) {
      visited = visit(url);
    }
  };
  const result = await call(from, ["login", "onedrive", "--no-browser", ...argv], {
    ...surroundings,
    onStderr,
  });
  await visited;
  return result;
}

async function walkThrough(url: string, decision = "allow"): Promise<Page> {
  const browser = new Browser();
  const page = await browser.open(url);
  return await browser.submit(page, { account: "somebody@example.org", decision });
}

function redirectUri(url: string): string {
  return new URL(url).searchParams.get("redirect_uri") ?? "";
}

function stored(): string | undefined {
  return azure.vault.secrets.versions(secret).at(-1)?.value.reveal();
}

function assertNotSignedIn(result: CommandResult, exitCode: number, code: string): void {
  assert.equal(result.stderr.match(/^(\w+): /m)?.[1], code, result.stderr);
  assert.equal(result.exitCode, exitCode);
  assert.equal(result.stdout, "");
}

describe("login with a browser", () => {
  it("stores the refresh token, says what comes next, and the rotation goes on", async () => {
    for (const from of [source({ scopes: ["openid", ...scopes] }), atMicrosoft()]) {
      count += 1;
      secret = `refresh-token-${count}`;
      const own = { ...from, refreshToken: { secret } };
      const before = await call(own, ["rotate", "--json"]);
      assert.equal(before.exitCode, 1);
      const [{ outcome, code }] = JSON.parse(before.stdout);
      assert.deepEqual([outcome, code], ["SignInRequired", "SignInRequired"]);

      let page: Page | undefined;
      const { exitCode, stdout, stderr } = await login(own, [], async (url) => {
        const { searchParams } = new URL(url);
        assert.match(redirectUri(url), /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
        assert.equal(searchParams.get("code_challenge_method"), "S256");
        assert.ok((searchParams.get("state") ?? "").length > 20);
        page = await walkThrough(url);
      });
      assert.equal(exitCode, 0, stderr);
      assert.equal(page?.status, 200);
      assert.match(page?.html ?? "", /Signed in.*You can close this window\./s);
      assert.match(stdout, new RegExp(`is in ${azure.vault.url} as ${secret}\\.`));
      assert.match(stdout, /`token-rotator rotate onedrive` does so now/);

      const token = stored();
      const rotate = await call(own, ["rotate", "onedrive", "--json"]);
      assert.equal(rotate.exitCode, 0, rotate.stderr);
      assert.equal(JSON.parse(rotate.stdout)[0].outcome, "Rotated");
      assert.notEqual(stored(), token);
    }
  });

  it("prints one document with --json, with the end of the refresh token where it is known", async () => {
    const { stdout } = await login(atMicrosoft(), ["--json"], walkThrough);
    const { signInBy, version, ...rest } = JSON.parse(stdout);
    assert.deepEqual(rest, { rotation: "onedrive", secret, vault: azure.vault.url });
    assert.match(version, /^[0-9a-f]{32}$/);
    const days = (Date.parse(signInBy) - systemClock.now()) / 86_400_000;
    assert.ok(days > 89.9 && days <= 90, String(days));
  });

  it("comes back to the stated port and to the redirect address that is registered", async () => {
    const port = await freePort();
    await login(source(), ["--port", String(port)], async (url) => {
      assert.equal(redirectUri(url), `http://127.0.0.1:${port}/callback`);
      await walkThrough(url);
    });
    assert.ok(stored());
    const registered = source({ redirectUri: `http://localhost:${port}` });
    const { exitCode } = await login(registered, ["--port", String(port)], async (url) => {
      assert.equal(redirectUri(url), `http://localhost:${port}`);
      const browser = new Browser("http://localhost");
      const end = await browser.submit(await browser.open(url), {
        account: "a@example.org",
        decision: "allow",
      });
      await fetch(new URL(end.url.href.replace("localhost", "127.0.0.1")));
    });
    assert.equal(exitCode, 0);
    const elsewhere = await login(registered, ["--port", "1"], assert.fail);
    assertNotSignedIn(elsewhere, 2, "PortNotRegistered");
  });

  it("sends what the source adds to the request", async () => {
    const from = source({ signInParameters: { access_type: "offline", state: "mine" } });
    const { exitCode } = await login(from, [], async (url) => {
      const { searchParams } = new URL(url);
      assert.equal(searchParams.get("access_type"), "offline");
      assert.notEqual(searchParams.get("state"), "mine");
      await walkThrough(url);
    });
    assert.equal(exitCode, 0);
  });

  it("takes no notice of anything but the browser's return", async () => {
    const { exitCode } = await login(source(), [], async (url) => {
      const back = redirectUri(url);
      for (const [other, method] of [
        [new URL("/favicon.ico", back), "GET"],
        [new URL("/", back), "GET"],
        [new URL(back), "GET"],
        [new URL(`${back}?state=x`), "POST"],
      ] as const) {
        assert.equal((await fetch(other, { method })).status, 404);
      }
      await walkThrough(url);
    });
    assert.equal(exitCode, 0);
  });

  it("ends where somebody refuses, or comes with another sign-in's answer", async () => {
    let page: Page | undefined;
    const refused = await login(source(), [], async (url) => {
      page = await walkThrough(url, "deny");
    });
    assertNotSignedIn(refused, 1, "SignInDenied");
    assert.match(page?.html ?? "", /That did not work.*refused/s);

    const foreign = await login(source(), [], async (url) => {
      page = await new Browser().open(`${redirectUri(url)}?code=canary&state=canary`);
    });
    assertNotSignedIn(foreign, 1, "SignInStateMismatch");
    assert.ok(!`${foreign.stderr}${page?.html}`.includes("canary"));
    assert.equal(stored(), undefined);
  });

  it("ends where nobody comes, or Ctrl-C does", async () => {
    const clock = new VirtualClock(systemClock.now());
    const late = await login(source(), ["--timeout", "3m"], () => clock.advance(3 * minutes), { clock });
    assertNotSignedIn(late, 1, "SignInNotFinished");

    const interrupt = new AbortController();
    const stopped = await login(source(), [], async () => interrupt.abort(), { signal: interrupt.signal });
    assertNotSignedIn(stopped, 1, "SignInStopped");
  });

  it("says which port is taken", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as AddressInfo;
    const result = await login(source(), ["--port", String(port)], assert.fail);
    holder.close();
    assertNotSignedIn(result, 1, "PortUnusable");
    assert.match(result.stderr, new RegExp(`port=${port}`));
  });

  it("stores nothing where the provider gives no refresh token, or an error", async () => {
    const answers = [
      [200, { access_token: "canary", token_type: "Bearer", expires_in: 600 }, "RefreshTokenNotIssued"],
      [400, { error: "invalid_grant", error_description: "canary" }, "SignInCodeRefused"],
      [401, { error: "invalid_client", error_description: "canary" }, "ClientRefused"],
      [503, "canary", "ProviderUnavailable"],
    ] as const;
    for (const [status, body, code] of answers) {
      azure.faults.inject({ kind: "answer", operation: "oauth.token", status, body, times: 1 });
      let page: Page | undefined;
      const result = await login(source(), [], async (url) => {
        page = await walkThrough(url);
      });
      assertNotSignedIn(result, 1, code);
      assert.match(page?.html ?? "", /That did not work/);
      assert.ok(!`${result.stderr}${page?.html}`.includes("canary"));
    }
    assert.equal(stored(), undefined);
  });

  it("says so where the vault does not take the refresh token", async () => {
    azure.faults.inject({ kind: "answer", operation: "keyvault.setSecret", status: 403 });
    const clock = new VirtualClock(systemClock.now());
    const before = azure.requests.count("keyvault.setSecret");
    let done = false;
    const result = login(source(), [], walkThrough, { clock }).finally(() => {
      done = true;
    });
    while (!done) {
      await new Promise(setImmediate);
      if (azure.requests.count("keyvault.setSecret") > before) {
        await clock.advance(16_000);
      }
    }
    assertNotSignedIn(await result, 1, "RefreshTokenLost");
  });
});

describe("login on another device", () => {
  it("shows a code and waits", async () => {
    const clock = new VirtualClock(systemClock.now());
    let entered: Promise<void> | undefined;
    const onStderr = (text: string) => {
      const [, page = "", userCode = ""] = /Open (\S+) .* code ([\w-]+)\./.exec(text) ?? [];
      entered ??= (async () => {
        const browser = new Browser();
        const confirm = await browser.submit(await browser.open(page), { user_code: userCode });
        const signIn = await browser.submit(confirm, {});
        await browser.submit(signIn, { account: "somebody@example.org", decision: "allow" });
        await clock.advance(5_000);
      })();
    };
    const argv = ["login", "onedrive", "--device-code"];
    const { exitCode, stderr } = await call(atMicrosoft(), argv, { clock, onStderr });
    await entered;
    assert.equal(exitCode, 0, stderr);
    assert.ok(stored());
  });

  it("says that the provider offers none", async () => {
    const from = source({ issuer: undefined, tokenEndpoint: strict.tokenEndpoint });
    assertNotSignedIn(await call(from, ["login", "onedrive", "--device-code"]), 1, "EndpointNotOffered");
  });
});

describe("login with a token set that somebody brings", () => {
  async function aRefreshToken(): Promise<string> {
    return await signedIn(strict, { clock: systemClock, fetch: safeFetch() }, { scopes });
  }

  it("takes a refresh token, JSON and base64 of JSON, and stores what its trial gave", async () => {
    const forms = [
      (token: string) => `${token}\n`,
      (token: string) => JSON.stringify({ refresh_token: token, access_token: "a" }),
      (token: string) =>
        Buffer.from(
          JSON.stringify({ config: {}, account: "a@example.org", expires_at: 1, refresh_token: token }),
        ).toString("base64"),
    ];
    for (const form of forms) {
      const token = await aRefreshToken();
      const environment = { TOKEN_SET: form(token) };
      const fromEnv = await call(source(), ["login", "onedrive", "--from-env", "TOKEN_SET"], { environment });
      assert.equal(fromEnv.exitCode, 0, fromEnv.stderr);
      assert.match(fromEnv.stdout, /Delete the token set/);
      assert.ok(stored() !== undefined && stored() !== token, "the trial has spent it");

      await writeFile(join(directory, "auth_tokens.json"), form(await aRefreshToken()));
      const fromFile = await call(source(), [
        "login",
        "onedrive",
        "--from-file",
        "auth_tokens.json",
        "--json",
      ]);
      assert.equal(fromFile.exitCode, 0, fromFile.stderr);
      assert.equal(JSON.parse(fromFile.stdout).secret, secret);
    }
    assert.equal(JSON.parse((await call(source(), ["rotate", "--json"])).stdout)[0].outcome, "Rotated");
  });

  it("stores nothing that the provider does not accept", async () => {
    const environment = { TOKEN_SET: "canary-refresh-token" };
    const result = await call(source(), ["login", "onedrive", "--from-env", "TOKEN_SET"], { environment });
    assertNotSignedIn(result, 1, "RefreshTokenRefused");
    assert.ok(!result.stderr.includes("canary"));
    assert.equal(stored(), undefined);
  });

  it("refuses what holds none", async () => {
    const sets = [
      ["", "TokenSetUnreadable"],
      ["two canaries", "TokenSetWithoutRefreshToken"],
      ["{}", "TokenSetWithoutRefreshToken"],
      ['{"refresh_token":""}', "TokenSetWithoutRefreshToken"],
      ['{"refresh_token":["canary"]}', "TokenSetWithoutRefreshToken"],
      [Buffer.from('{"access_token":"canary"}').toString("base64"), "TokenSetWithoutRefreshToken"],
    ] as const;
    for (const [text, code] of sets) {
      const environment = { TOKEN_SET: text };
      const result = await call(source(), ["login", "onedrive", "--from-env", "TOKEN_SET"], { environment });
      assertNotSignedIn(result, 2, code);
      assert.ok(!/canar/.test(result.stderr));
    }
    const unset = await call(source(), ["login", "onedrive", "--from-env", "NOT_SET"]);
    assertNotSignedIn(unset, 2, "TokenSetUnreadable");
    const missing = await call(source(), ["login", "onedrive", "--from-file", "nowhere.json"]);
    assertNotSignedIn(missing, 2, "TokenSetUnreadable");
  });
});

describe("what login is for", () => {
  const oci = {
    kind: "oci-session",
    domain: "https://idcs-example.identity.oraclecloud.com",
    clientId: "rotator",
    keyPair: { secret: "oci-key-pair" },
  };
  const entra = { kind: "entra", scope: "https://vault.azure.net/.default" };

  it("is found within a list and within another source", async () => {
    for (const from of [
      [entra, source()],
      { ...oci, subject: source() },
      [source(), source({ clientId: "x" })],
    ]) {
      const unset = await call(from, ["login", "onedrive", "--from-env", "NOT_SET"]);
      assertNotSignedIn(unset, 2, "TokenSetUnreadable");
    }
  });

  it("is chosen by the secret where there are several", async () => {
    const from = [source(), source({ refreshToken: { secret: "another" } })];
    const several = await call(from, ["login", "onedrive"]);
    assertNotSignedIn(several, 2, "SeveralSignIns");
    assert.match(several.stderr, new RegExp(`secrets=${secret} another`));
    const result = await login(from, ["--secret", secret], walkThrough);
    assert.equal(result.exitCode, 0, result.stderr);
    assert.ok(stored());
    assertNotSignedIn(await call(from, ["login", "onedrive", "--secret", "x"]), 2, "NothingToSignIn");
  });

  it("is said where there is nothing, no such rotation or a fault in it", async () => {
    assertNotSignedIn(await call(entra, ["login", "onedrive"]), 2, "NothingToSignIn");
    const unknown = await call(entra, ["login", "onedrve"]);
    assertNotSignedIn(unknown, 2, "RotationUnknown");
    assert.match(unknown.stderr, /didYouMean=onedrive/);
    assertNotSignedIn(await call(source({ scopes: [] }), ["login", "onedrive"]), 2, "RotationBlocked");
  });

  it("is refused with options that do not go together or have no meaning", async () => {
    for (const argv of [
      ["--from-env", "A", "--from-file", "b"],
      ["--device-code", "--port", "1234"],
      ["--from-env", "A", "--device-code"],
    ]) {
      const { exitCode, stderr } = await call(source(), ["login", "onedrive", ...argv]);
      assert.equal(exitCode, 2);
      assert.match(stderr, /cannot be used with option/);
    }
    for (const argv of [
      ["--port", "0"],
      ["--port", "65536"],
      ["--port", "http"],
      ["--timeout", "soon"],
    ]) {
      assertNotSignedIn(await login(source(), argv, assert.fail), 2, "OptionInvalid");
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
