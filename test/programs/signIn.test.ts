import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type MicrosoftOAuth, startMicrosoftOAuth } from "../../src/local/microsoftOAuth.ts";
import { type CommandResult, command } from "../cli/testIo.ts";
import { VirtualClock } from "../virtualClock.ts";

/*
 * Somebody signs in with a real browser: what `login` prints is opened in Chromium, and Chromium comes back to it. CHROMIUM
 * names the program where it is not /usr/bin/chromium; without it these tests fail.
 */

const secret = "onedrive-refresh-token";
/** Of the command, so that nobody waits for its next look at a device's sign-in. */
const clock = new VirtualClock(systemClock.now());
let azure: EmbeddedAzure;
let microsoft: MicrosoftOAuth;
let directory: string;
let trust: Disposable;
let browser: Browser;
/** A profile without cookies for every test. */
let profile: BrowserContext;
let page: Page;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  microsoft = await startMicrosoftOAuth(azure, {
    clients: [{ clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] }],
    account: "somebody@example.org",
  });
  Object.assign(process.env, azure.environment);
  directory = await mkdtemp(join(tmpdir(), "sign-in-"));
  await writeFile(
    join(directory, "rotations.json"),
    JSON.stringify({
      rotations: {
        onedrive: {
          source: {
            kind: "oauth-refresh-token",
            tenant: "consumers",
            clientId: "rotator",
            scopes: ["Files.ReadWrite.All", "offline_access"],
            refreshToken: { secret },
          },
          outputs: [{ secret: "onedrive-token" }],
        },
      },
    }),
  );
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    // Nothing but what the test asks for.
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
after(async () => {
  await browser?.close();
  trust?.[Symbol.dispose]();
  await azure?.stop();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  // The certificates are those of the embedded Azure.
  profile = await browser.newContext({ ignoreHTTPSErrors: true });
  page = await profile.newPage();
  page.setDefaultTimeout(20_000);
});
afterEach(() => profile.close());

/** Calls the command and does in the browser what it takes, once the command has printed what it waits for. */
async function call(
  argv: readonly string[],
  wait: RegExp,
  visit: (found: RegExpExecArray) => Promise<void>,
): Promise<CommandResult> {
  const { promise: printed, resolve } = Promise.withResolvers<RegExpExecArray>();
  const stopping = new AbortController();
  const result = command(["login", "onedrive", ...argv], {
    directory,
    environment: { ...azure.environment, AZURE_AUTHORITY_HOST: microsoft.authorityHost },
    clock,
    signal: stopping.signal,
    onStderr: (text) => {
      const found = wait.exec(text);
      if (found !== null) {
        resolve(found);
      }
    },
  });
  try {
    await visit(await Promise.race([printed, result.then(({ stderr }) => assert.fail(stderr))]));
    return await result;
  } finally {
    // Also where the browser failed: nobody must go on waiting for it.
    stopping.abort();
  }
}

function rotate(): Promise<CommandResult> {
  const environment = { ...azure.environment, AZURE_AUTHORITY_HOST: microsoft.authorityHost };
  return command(["rotate", "--json"], { directory, environment });
}

const address = /https:\/\/\S+\/authorize\?\S+/;

test("signs in, and the rotation has its token", async () => {
  const { exitCode, stdout, stderr } = await call(["--no-browser"], address, async ([url]) => {
    await page.goto(url);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.getByLabel("Account").inputValue(), "somebody@example.org");
    await page.getByRole("button", { name: "Sign in and allow" }).click();
    await page.getByRole("heading", { name: "Signed in" }).waitFor();
    assert.match((await page.getByRole("paragraph").textContent()) ?? "", /You can close this window\.$/);
    assert.match(page.url(), /^http:\/\/127\.0\.0\.1:\d+\/callback\?/);
  });
  assert.equal(exitCode, 0, stderr);
  const [stored] = azure.vault.secrets.versions(secret);
  assert.ok(stored !== undefined);
  assert.ok(!`${stdout}${stderr}`.includes(stored.value.reveal()));

  const rotated = await rotate();
  assert.equal(JSON.parse(rotated.stdout)[0].outcome, "Rotated", rotated.stderr);
});

test("refuses, and sees that it did not work", async () => {
  const before = azure.vault.secrets.versions(secret).length;
  const { exitCode, stderr } = await call(["--no-browser"], address, async ([url]) => {
    await page.goto(url);
    await page.getByRole("button", { name: "Refuse" }).click();
    await page.getByRole("heading", { name: "That did not work" }).waitFor();
  });
  assert.equal(exitCode, 1);
  assert.match(stderr, /^SignInDenied: /m);
  assert.equal(azure.vault.secrets.versions(secret).length, before);
});

test("enters the code of a device", async () => {
  const before = azure.vault.secrets.versions(secret).length;
  const shown = /Open (\S+) on any device and enter the code (\S+)\.\n/;
  const { exitCode, stderr } = await call(["--device-code"], shown, async ([, url = "", code = ""]) => {
    await page.goto(url);
    await page.getByRole("textbox").fill(code);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("button", { name: "It does", exact: true }).click();
    await page.getByRole("button", { name: "Sign in and allow" }).click();
    await page.getByRole("heading", { name: "Signed in" }).waitFor();
    await clock.advance(5_000);
  });
  assert.equal(exitCode, 0, stderr);
  assert.equal(azure.vault.secrets.versions(secret).length, before + 1);
});
