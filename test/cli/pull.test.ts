import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { takeIdentity } from "../processIdentity.ts";
import { type CommandResult, type CommandSurroundings, command } from "./testIo.ts";

const hourMs = 3_600_000;

let azure: EmbeddedAzure;
let trust: Disposable;
let identity: Disposable;
let home: string;

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
  for (const { name } of azure.vault.secrets.list()) {
    azure.vault.secrets.delete(name);
    azure.vault.secrets.purge(name);
  }
  await configure({ lakebase: pgpassRotation });
});
afterEach(async () => {
  azure.vault.assignments = undefined;
  azure.requests.clear();
  await rm(home, { recursive: true, force: true });
});

const pgpassRotation = {
  source: { kind: "entra", scope: "api://app/.default" },
  outputs: [{ secret: "pgpass", format: "pgpass", host: "db.example.org", user: "svc" }],
  files: [{ kind: "pgpass", output: "pgpass" }],
};

function configure(rotations: object): Promise<void> {
  return writeFile(join(home, "rotations.json"), JSON.stringify({ rotations }));
}

function publish(token: string, lifetimeMs = hourMs): void {
  const now = systemClock.now();
  azure.vault.secrets.set("pgpass", `db.example.org:5432:*:svc:${token}\n`, {
    expires: Math.floor((now + lifetimeMs) / 1000),
    tags: { token, issued: new Date(now).toISOString() },
  });
}

function run(argv: readonly string[], surroundings: CommandSurroundings = {}): Promise<CommandResult> {
  const environment = { ...azure.environment, HOME: home, PATH: process.env.PATH };
  return command(argv, { environment, directory: home, ...surroundings });
}

function read(path: string): Promise<string> {
  return readFile(join(home, path), "utf8");
}

describe("pull", () => {
  test("writes what is new, says so, and leaves alone what is not", async () => {
    publish("first");
    const first = await run(["pull", "--json"]);
    assert.equal(first.exitCode, 0, first.stderr);
    const [row, ...more] = JSON.parse(first.stdout);
    assert.deepEqual(more, []);
    const { expiresOn, ...rest } = row;
    assert.deepEqual(rest, {
      rotation: "lakebase",
      output: "pgpass",
      path: join(home, ".pgpass"),
      changed: true,
    });
    assert.ok(Math.abs(Date.parse(expiresOn) - systemClock.now() - hourMs) < 60_000);
    assert.equal(await read(".pgpass"), "db.example.org:5432:*:svc:first\n");

    const again = await run(["pull", "lakebase", "--json"]);
    assert.equal(JSON.parse(again.stdout)[0].changed, false);
    const table = await run(["pull"]);
    assert.match(table.stdout, /lakebase +pgpass +\S+\.pgpass +unchanged +(?:59m|1h)/);
  });

  test("says what is missing and keeps the file; the exit code tells", async () => {
    await writeFile(join(home, ".pgpass"), "mine:1:d:u:p\n");
    const result = await run(["pull", "--json"]);
    assert.equal(result.exitCode, 1);
    const [row] = JSON.parse(result.stdout);
    assert.equal(row.changed, false);
    assert.equal(row.error.code, "OutputMissing");
    assert.match(row.error.remedy, /token-rotator rotate/);
    assert.equal(await read(".pgpass"), "mine:1:d:u:p\n");
    const table = await run(["pull"]);
    assert.match(table.stdout, /as it was/);
    assert.match(table.stderr, /OutputMissing.*secret=pgpass/);
  });

  test("refuses names that are not there, and rotations without files", async () => {
    assert.match((await run(["pull", "lakebas"])).stderr, /RotationUnknown.*didYouMean=lakebase/);
    const { files: _, ...without } = pgpassRotation;
    await configure({ lakebase: without });
    const result = await run(["pull"]);
    assert.equal(result.exitCode, 2);
    assert.match(result.stderr, /NothingToPull/);
    await configure({ lakebase: pgpassRotation, broken: { ...pgpassRotation, margin: "soon" } });
    publish("first");
    const partly = await run(["pull", "--json"]);
    assert.equal(partly.exitCode, 1);
    const broken = JSON.parse(partly.stdout).find(
      ({ rotation }: { rotation: string }) => rotation === "broken",
    );
    assert.equal(broken.error.code, "RotationBlocked");
    assert.match(await read(".pgpass"), /first/);
    await configure({ broken: { ...pgpassRotation, margin: "soon" } });
    assert.equal((await run(["pull", "--watch"])).exitCode, 2, "there is nothing to watch");
  });

  test("runs the command for each change once, and again where it has failed", async () => {
    publish("first");
    const pull = (commandLine: string) => run(["pull", "--exec", commandLine, "--json"]);
    assert.equal((await pull("echo one >> told; exit 3")).exitCode, 1);
    assert.equal(await read("told"), "one\n");
    const retried = await pull("echo one >> told; exit 3");
    assert.equal(JSON.parse(retried.stdout)[0].changed, false);
    assert.match(retried.stderr, /CommandFailed.*exitCode=3/);
    assert.equal(await read("told"), "one\none\n", "it has not succeeded yet");

    assert.equal((await pull("echo two >> told")).exitCode, 0);
    assert.equal((await pull("echo two >> told")).exitCode, 0);
    assert.equal(await read("told"), "one\none\ntwo\n", "a command of its own, once");
    publish("second");
    await pull("echo two >> told");
    assert.equal(await read("told"), "one\none\ntwo\ntwo\n");
  });

  test("a host that keeps no receipts runs the command for changes only", async () => {
    publish("first");
    await writeFile(join(home, ".local"), "not a directory");
    const pull = () => run(["pull", "--exec", "echo one >> told"]);
    await pull();
    await pull();
    assert.equal(await read("told"), "one\n");
  });

  test("--watch writes, notices a failure once, and ends on Ctrl-C", async () => {
    publish("first");
    const stop = new AbortController();
    let time = systemClock.now();
    // Sleeps are over at once, so look follows look: the second finds nothing new, the later ones are refused.
    const sleep = async (ms: number) => {
      time += ms;
      const looks = azure.requests.count("keyvault.getSecret");
      azure.vault.assignments = looks < 2 ? undefined : [];
      if (looks > 5) {
        stop.abort();
      }
    };
    const watching = run(["pull", "--watch"], { clock: { now: () => time, sleep }, signal: stop.signal });
    const { exitCode, stdout, stderr } = await watching;
    assert.equal(exitCode, 0);
    assert.match(stdout, /lakebase: \S+\.pgpass written, good until /);
    assert.equal(stderr.match(/stays as it is/g)?.length, 1, stderr);
    assert.match(stderr, /stays as it is, with a token until \S+Z\nVaultForbidden: /);
  });

  test("--service prints a unit for this command line and does nothing else", async () => {
    const result = await run([
      "pull",
      "lakebase",
      "--service",
      "systemd",
      "--exec",
      "systemctl --user reload app",
    ]);
    assert.equal(result.exitCode, 0);
    assert.match(
      result.stdout,
      /^ExecStart=.*"pull" "lakebase" "--watch" "--config" ".*rotations\.json" "--exec" "systemctl --user reload app"$/m,
    );
    assert.match(result.stderr, /token-rotator-lakebase\.service/);
    assert.equal(azure.requests.count("keyvault.getSecret"), 0);
    assert.deepEqual(await readdir(home), ["rotations.json"]);
    const plist = await run(["pull", "lakebase", "--service", "launchd", "--json"]);
    assert.match(JSON.parse(plist.stdout).unit, /<string>--watch<\/string>/);
    assert.equal((await run(["pull", "--service", "upstart"])).exitCode, 2);
  });
});
