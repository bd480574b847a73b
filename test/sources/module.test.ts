import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import * as z from "zod";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import type { TokenSource } from "../../src/ports.ts";
import { type ModuleOptions, moduleSource } from "../../src/sources/module.ts";
import { assertSilent, failure } from "../oauth/setup.ts";
import { aMint, complaints, type Surroundings, surround } from "./setup.ts";

const kind = "module";
const canary = "canary-of-the-module";
let surroundings: Surroundings;
let server: OAuthServer;
let outside: string;
let directory: string;
let count = 0;

before(async () => {
  surroundings = await surround();
  server = await startOAuthServer(surroundings.azure, { clients: [{ clientId: "module", secret: canary }] });
  surroundings.store("module-secret", canary);
  outside = await mkdtemp(join(tmpdir(), "module-source-"));
  directory = join(outside, "configuration");
  await mkdir(directory);
});
after(async () => {
  await rm(outside, { recursive: true });
  await surroundings[Symbol.asyncDispose]();
});
afterEach(() => surroundings.azure.faults.clear());

/** A source over a module of that text. */
async function aModule(text: string, options: Partial<ModuleOptions> = {}): Promise<TokenSource> {
  count += 1;
  const path = `module${count}.mjs`;
  await writeFile(join(directory, path), text);
  return await aSource({ path, ...options });
}

async function aSource(options: Partial<ModuleOptions>): Promise<TokenSource> {
  return await moduleSource.create(moduleSource.schema(z).parse({ kind, lifetime: "1h", ...options }), {
    ...surroundings.environment,
    configurationDirectory: directory,
  });
}

describe("the module source", () => {
  it("mints what the function returns, in either form of a date", async () => {
    const full = await aModule(
      `
      export const mint = ({ now, options }) => ({
        token: options.prefix + "token",
        expiresOn: new Date(now() + 1000),
        issuedOn: "2025-12-31T23:00:00+01:00",
        subject: "somebody",
      });`,
      { options: { prefix: "a-" } },
    );
    const token = await full.mint(aMint());
    const now = surroundings.clock.now();
    assert.equal(token.value.reveal(), "a-token");
    assert.equal(token.expiresOn.getTime(), now + 1000);
    assert.equal(token.issuedOn.toISOString(), "2025-12-31T22:00:00.000Z");
    assert.equal(token.subject, "somebody");

    const least = await aModule(
      'export async function other() { return { token: "a-token", expiresOn: "2030-01-31T08:00:00Z" }; }',
      { export: "other" },
    );
    const { issuedOn, subject, expiresOn } = await least.mint(aMint());
    assert.deepEqual([issuedOn.getTime(), subject], [now, undefined]);
    assert.equal(expiresOn.toISOString(), "2030-01-31T08:00:00.000Z");
  });

  it("reads declared secrets and fetches", async () => {
    const source = await aModule(
      `export async function mint({ fetch, readSecret, signal, options }) {
        const response = await fetch(options.url, {
          method: "POST",
          headers: { authorization: "Basic " + btoa("module:" + (await readSecret("client"))) },
          body: new URLSearchParams({ grant_type: "client_credentials" }),
        });
        const { access_token: token, expires_in: seconds } = await response.json();
        if (signal.aborted) throw new Error("aborted");
        return { token, expiresOn: new Date(${surroundings.clock.now()} + seconds * 1000) };
      }`,
      { options: { url: server.tokenEndpoint }, secrets: { client: { secret: "module-secret" } } },
    );
    const token = await source.mint(aMint());
    assert.equal((await server.verify(token.value.reveal(), surroundings.clock.now())).sub, "module");

    surroundings.azure.faults.inject({ kind: "reset", operation: "oauth.token" });
    const error = await failure(source.mint(aMint()));
    assert.deepEqual([error.code, error.retryable], ["EndpointUnreachable", true]);
  });

  it("ends the module's fetch with the time for the call, and with its own signal", async () => {
    const source = await aModule(
      `export async function mint({ fetch, options }) {
        const own = options.own ? AbortSignal.abort(new Error("own")) : undefined;
        await fetch(options.url, { signal: own });
      }`,
      { options: { url: server.issuer } },
    );
    const signal = AbortSignal.abort(new Error("time is up"));
    await assert.rejects(source.mint(aMint({ signal })), /time is up/);
    const own = await aSource({ path: `module${count}.mjs`, options: { url: server.issuer, own: true } });
    assert.equal((await failure(own.mint(aMint()))).code, "ModuleFailed");
  });

  it("refuses a secret that is not declared, and says when one is missing", async () => {
    const source = await aModule(
      "export const mint = async ({ readSecret, options }) => readSecret(options.name);",
      { options: { name: "toString" }, secrets: { client: { secret: "no-such-secret" } } },
    );
    assert.equal((await failure(source.mint(aMint()))).code, "ModuleSecretUndeclared");
    const missing = await aSource({
      path: `module${count}.mjs`,
      options: { name: "client" },
      secrets: { client: { secret: "no-such-secret" } },
    });
    assert.equal((await failure(missing.mint(aMint()))).code, "SourceSecretMissing");
  });

  it("tells of what is thrown only its name and code", async () => {
    for (const [thrown, facts] of [
      [
        `Object.assign(new TypeError("${canary}"), { code: "E_MINT", token: "${canary}" })`,
        { errorName: "TypeError", errorCode: "E_MINT" },
      ],
      [`"${canary}"`, { errorName: "string" }],
      [`Object.assign(new Error("x"), { name: "${canary} ${canary}" })`, { errorName: "Error" }],
    ] as const) {
      for (const text of [`() => { throw ${thrown}; }`, `async () => { throw ${thrown}; }`]) {
        const error = await failure((await aModule(`export const mint = ${text};`)).mint(aMint()));
        assert.equal(error.code, "ModuleFailed");
        assert.deepEqual(error.facts, facts);
        assertSilent(error, canary);
      }
    }
  });

  const expiresOn = '"2030-01-31T08:00:00Z"';
  const answers: [string, string][] = [
    ["undefined", "(another)"],
    [`"${canary}"`, "(another)"],
    [`{ expiresOn: ${expiresOn} }`, "token"],
    [`{ token: "", expiresOn: ${expiresOn} }`, "token"],
    [`{ token: 7, expiresOn: ${expiresOn} }`, "token"],
    [`{ token: "${canary}" }`, "expiresOn"],
    [`{ token: "${canary}", expiresOn: 1895990400 }`, "expiresOn"],
    [`{ token: "${canary}", expiresOn: new Date(NaN) }`, "expiresOn"],
    [`{ token: "${canary}", expiresOn: "2030-01-31" }`, "expiresOn"],
    [`{ token: "${canary}", expiresOn: "2030-01-31T08:00:00" }`, "expiresOn"],
    [`{ token: "${canary}", expiresOn: ${expiresOn}, issuedOn: 0 }`, "issuedOn"],
    [`{ token: "${canary}", expiresOn: ${expiresOn}, subject: "" }`, "subject"],
    [`{ token: "${canary}", expiresOn: ${expiresOn}, "${canary}": 1 }`, "(another)"],
  ];
  for (const [returned, field] of answers) {
    it(`refuses ${returned.replaceAll(canary, "…")}`, async () => {
      const source = await aModule(`export const mint = () => (${returned});`);
      const error = await failure(source.mint(aMint()));
      assert.equal(error.code, "ModuleAnswerInvalid");
      assert.deepEqual(error.facts, { field });
      assertSilent(error, canary);
    });
  }

  it("says what is wrong with the module itself", async () => {
    await writeFile(join(outside, "outside.mjs"), "export const mint = () => {};");
    await symlink(join(outside, "outside.mjs"), join(directory, "link.mjs"));
    const code = async (source: Promise<TokenSource>) => (await failure(source)).code;
    assert.equal(await code(aSource({ path: "nowhere.mjs" })), "ModuleNotFound");
    assert.equal(await code(aSource({ path: "link.mjs" })), "ModuleNotFound");
    assert.equal(await code(aModule("export const mint = ;")), "ModuleUnloadable");
    assert.equal(await code(aModule(`throw new Error("${canary}");`)), "ModuleUnloadable");
    assert.equal(await code(aModule("export const mint = 7;")), "ModuleExportMissing");
    assert.equal(await code(aModule("export function other() {}")), "ModuleExportMissing");
  });
});

describe("the options of module", () => {
  const good = { kind, path: "mint.mjs", lifetime: "1h" };
  const paths = ["./mint.js", "sources/my-token_2.mjs", "a/b/c.js"];
  const notPaths = [
    "/etc/mint.js",
    "../mint.js",
    "a/../../mint.js",
    "mint.ts",
    "mint",
    "C:/mint.js",
    "a\\b.js",
    ".hidden.js",
  ];

  it("take paths below the configuration, and no others", () => {
    for (const path of paths) {
      assert.deepEqual(complaints(moduleSource, { ...good, path }), [], path);
    }
    for (const path of notPaths) {
      assert.deepEqual(complaints(moduleSource, { ...good, path }), ["path"], path);
    }
  });

  it("ask for a lifetime, and know the secrets", () => {
    assert.deepEqual(complaints(moduleSource, { ...good, lifetime: undefined }), ["lifetime"]);
    const options = moduleSource
      .schema(z)
      .parse({ ...good, secrets: { client: { secret: "module-secret" } } });
    assert.equal(moduleSource.lifetimeMs(options), 3_600_000);
    assert.deepEqual(moduleSource.secrets(options), [
      { path: ["secrets", "client"], reference: { secret: "module-secret" }, access: "read" },
    ]);
  });
});
