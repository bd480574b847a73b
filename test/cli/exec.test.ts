import assert from "node:assert/strict";
import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { takeIdentity } from "../processIdentity.ts";
import { type CommandResult, command } from "./testIo.ts";

const hourMs = 3_600_000;

let azure: EmbeddedAzure;
let trust: Disposable;
let identity: Disposable;
let home: string;
/** Of the command's clock, ahead of the machine's. */
let aheadMs: number;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
});
after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
});
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "home-"));
  aheadMs = 0;
  const files = [{ kind: "file", output: "token", path: "~/token" }];
  const rotation = {
    source: { kind: "entra", scope: "api://app/.default" },
    outputs: [{ secret: "token" }],
    files,
  };
  await writeFile(join(home, "rotations.json"), JSON.stringify({ rotations: { app: rotation } }));
  publish("first");
  azure.requests.clear();
});
afterEach(async () => {
  azure.vault.assignments = undefined;
  await rm(home, { recursive: true, force: true });
});

function publish(token: string): void {
  const now = systemClock.now() + aheadMs;
  azure.vault.secrets.set("token", token, {
    expires: Math.floor((now + hourMs) / 1000),
    tags: { token, issued: new Date(now).toISOString() },
  });
}

function exec(...program: string[]): Promise<CommandResult> {
  const environment = { ...azure.environment, HOME: home, PATH: process.env.PATH };
  const now = () => systemClock.now() + aheadMs;
  return command(["exec", "app", "--", ...program], {
    environment,
    directory: home,
    clock: { now, sleep: async () => {} },
  });
}

const shell = (script: string) => exec("sh", "-c", script);

async function seen(): Promise<string> {
  return await readFile(join(home, "seen"), "utf8");
}

function vaultReads(): number {
  return azure.requests.count("keyvault.getSecret");
}

describe("exec sees to it that the files are fresh", () => {
  test("asks the vault once while nothing newer is to be expected, and again when there is", async () => {
    assert.equal((await shell("cat token > seen")).exitCode, 0);
    assert.equal(await seen(), "first");
    assert.equal(vaultReads(), 1);
    await shell("cat token > seen");
    assert.equal(vaultReads(), 1, "the file is known to be fresh");

    aheadMs = hourMs * 0.7;
    publish("second");
    await shell("cat token > seen");
    assert.equal(await seen(), "second");
    assert.equal(vaultReads(), 2);
  });

  test("asks again where the file is gone or is not as it was left", async () => {
    await shell("true");
    await appendFile(join(home, "token"), "scribble");
    await shell("cat token > seen");
    assert.equal(await seen(), "first");
    await rm(join(home, "token"));
    await shell("cat token > seen");
    assert.equal(await seen(), "first");
    assert.equal(vaultReads(), 3);
  });

  test("goes on with a token that still works where the vault is of no help, and says so", async () => {
    await shell("true");
    aheadMs = hourMs * 0.7;
    azure.vault.assignments = [];
    const { exitCode, stderr } = await shell("cat token > seen");
    assert.equal(exitCode, 0);
    assert.equal(await seen(), "first");
    assert.match(stderr, /VaultForbidden/);

    aheadMs = hourMs * 1.1;
    const expired = await shell("touch ran");
    assert.equal(expired.exitCode, 1);
    assert.match(expired.stderr, /VaultForbidden[\s\S]*FilesNotFresh/);
    await assert.rejects(readFile(join(home, "ran")), { code: "ENOENT" });
  });

  test("does not run the command on an expired or a missing token", async () => {
    aheadMs = hourMs * 2;
    const expired = await shell("touch ran");
    assert.equal(expired.exitCode, 1);
    assert.match(expired.stderr, /OutputExpired/);
    await assert.rejects(readFile(join(home, "ran")), { code: "ENOENT" });
  });
});

describe("exec stands aside", () => {
  test("the exit code is the command's own, also where a signal ended it or it cannot be run", async () => {
    assert.equal((await shell("exit 7")).exitCode, 7);
    assert.equal((await shell("kill -KILL $$")).exitCode, 137);
    assert.equal((await exec("no-such-program")).exitCode, 127);
    await writeFile(join(home, "script"), "not for running");
    await chmod(join(home, "script"), 0o600);
    assert.equal((await exec(join(home, "script"))).exitCode, 126);
  });

  test("arguments reach the command as they are, options included", async () => {
    await exec("sh", "-c", 'printf "%s|" "$@" > seen', "sh", "--json", "-c", "two words", "$HOME", "");
    assert.equal(await seen(), "--json|-c|two words|$HOME||");
  });

  test("a signal is handed on, and the command decides what becomes of it", async () => {
    // The command signals its parent, which is this process.
    const script = "trap 'echo got it > seen; exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.01; done";
    assert.equal((await shell(script)).exitCode, 9);
    assert.equal(await seen(), "got it\n");
    assert.equal(process.listenerCount("SIGTERM"), 0);
  });

  test("the command is told where its files are, unless somebody has said otherwise", async () => {
    const files = [{ kind: "pgpass", output: "token", path: "~/passwords" }];
    const rotation = {
      source: { kind: "entra", scope: "api://app/.default" },
      outputs: [{ secret: "token" }],
      files,
    };
    await writeFile(join(home, "rotations.json"), JSON.stringify({ rotations: { app: rotation } }));
    publish("h:5432:*:u:token\n");
    await shell('printf %s "$PGPASSFILE" > seen');
    assert.equal(await seen(), join(home, "passwords"));
    const environment = { ...azure.environment, HOME: home, PATH: process.env.PATH, PGPASSFILE: "/mine" };
    const argv = ["exec", "app", "--", "sh", "-c", 'printf %s "$PGPASSFILE" > seen'];
    await command(argv, { environment, directory: home });
    assert.equal(await seen(), "/mine");
  });

  test("usage errors end with 2", async () => {
    const surroundings = { environment: azure.environment, directory: home };
    assert.equal((await command(["exec", "app"], surroundings)).exitCode, 2);
    assert.equal((await command(["exec", "ap", "--", "true"], surroundings)).exitCode, 2);
    assert.equal((await command(["exec", "app", "--json", "--", "true"], surroundings)).exitCode, 2);
  });
});
