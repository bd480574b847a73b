import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { progressBar } from "../../src/cli/progressBar.ts";
import type { SimulationSummary } from "../../src/simulation/summary.ts";
import { CommandThread } from "./commandThread.ts";
import { command } from "./testIo.ts";

const app =
  "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/Microsoft.App/containerApps/mcp";
const database = {
  source: { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" },
  outputs: [{ secret: "uri", format: "postgres-uri", host: "db.example.org", database: "app", user: "mcp" }],
  consumers: [{ kind: "container-app", app, secret: "database-uri", output: "uri" }],
};
const session = {
  source: {
    kind: "oci-session",
    domain: "https://idcs-example.identity.oraclecloud.com",
    clientId: "confidential-app",
    subject: { kind: "entra", scope: "api://oci/.default" },
    keyPair: { secret: "key-pair" },
  },
  outputs: [{ secret: "session", format: "oci-bundle" }],
};
const drive = {
  source: {
    kind: "oauth-refresh-token",
    tenant: "consumers",
    clientId: "drive",
    scopes: ["Files.Read", "offline_access"],
    refreshToken: { secret: "refresh-token" },
  },
  outputs: [{ secret: "drive", format: "onemount-auth", account: "somebody@example.com" }],
};

let directory: string;
let thread: CommandThread;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "simulate-"));
  thread = new CommandThread();
});

after(async () => {
  await thread[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function simulate(rotations: object, ...argv: string[]) {
  await writeFile(join(directory, "rotations.json"), JSON.stringify({ rotations }));
  return await thread.run(["simulate", ...argv], directory);
}

async function summary(rotations: object, ...argv: string[]): Promise<SimulationSummary> {
  const { stdout, stderr } = await simulate(rotations, "--json", ...argv);
  assert.equal(stderr, "");
  return JSON.parse(stdout);
}

describe("token-rotator simulate", () => {
  test("shows what every reader of the configuration would see, without any fault", async () => {
    const { exitCode, stdout } = await simulate({ database }, "--days", "2");
    assert.equal(exitCode, 0);
    assert.match(stdout, /database +uri +readers of the vault +1\dm \d\ds left +never/);
    assert.match(stdout, /database +uri +consumers\[0\] +1\dm \d\ds left +never/);
    assert.match(stdout, /^mcp +36$/m);
    assert.match(stdout, /^2 days, 57\d ticks, \d+ calls, seed 1: no rule broken\.$/m);
  });

  test("--json is one document with the same facts", async () => {
    const { readers, secrets, consumers, violations, days } = await summary({ database }, "--days", "2");
    assert.equal(days, 2);
    assert.deepEqual(
      readers.map(({ rotation, output, reader, secondsExpired }) => [
        rotation,
        output,
        reader,
        secondsExpired,
      ]),
      [
        ["database", "uri", "readers of the vault", 0],
        ["database", "uri", "consumers[0]", 0],
      ],
    );
    assert.ok(readers.every(({ worstSecondsLeft }) => Number(worstSecondsLeft) > 10 * 60));
    assert.deepEqual(secrets, [
      {
        secret: "uri",
        vault: "https://simulated.vault.azure.net",
        versionsPerDay: 36,
        daysUntil500Versions: 13.9,
      },
    ]);
    assert.deepEqual(consumers, [{ name: app, restartsPerDay: 36 }]);
    assert.deepEqual(violations, []);
  });

  test("an outage that is longer than the margin shows expired tokens, and the exit code says so", async () => {
    const { exitCode, stdout } = await simulate({ database }, "--days", "3", "--outage", "identity:2h");
    assert.equal(exitCode, 1);
    assert.match(stdout, /readers of the vault +1h \d\dm after it expired +\d+h \d\dm/);
    assert.match(stdout, /no rule broken/);
  });

  test("an outage that is shorter than the margin shows none", async () => {
    const { exitCode } = await simulate({ database }, "--days", "3", "--outage", "identity:5m");
    assert.equal(exitCode, 0);
  });

  test("outages come as often as they are told to", async () => {
    const { faults } = await summary({ database }, "--days", "6", "--outage", "vault:5m/2d");
    assert.equal(faults["outage: vault refuses"], 3);
    const { faults: daily } = await summary({ database }, "--days", "3", "--outage", "timer:5m");
    assert.equal(daily["outage: timer"], 3);
  });

  test("lost and killed ticks, failed calls and a wrong clock are taken in", async () => {
    const { faults, ticks } = await summary(
      { database },
      ...["--days", "3", "--ticks-lost", "30%", "--ticks-killed", "10%", "--calls-failed", "5%"],
      ...["--clock-skew", "3m"],
    );
    assert.ok(Math.abs((faults["tick lost"] ?? 0) / (3 * 288) - 0.3) < 0.08);
    assert.equal(ticks + (faults["tick lost"] ?? 0), 3 * 288);
    assert.ok((faults["killed before a call"] ?? 0) + (faults["killed after a call"] ?? 0) > 5);
    assert.ok((faults["call: throttles"] ?? 0) > 0);
  });

  test("a refresh token that is replaced with every renewal counts as a secret of its own", async () => {
    const { secrets } = await summary({ drive }, "--days", "1");
    assert.deepEqual(
      secrets.map(({ secret }) => secret),
      ["refresh-token", "drive"],
    );
  });

  test("formats that lay out a key are given one", async () => {
    const { readers } = await summary({ session }, "--days", "1");
    assert.ok(Number(readers[0]?.worstSecondsLeft) > 0);
  });

  test("all that people and platforms do breaks no rule", async () => {
    const { violations, faults } = await summary({ database, drive }, "--days", "4", "--chaos");
    assert.deepEqual(violations, []);
    assert.ok((faults["secret deleted"] ?? 0) > 0);
  });

  test("equal seeds give equal results, others give others", async () => {
    const run = (seed: string) => summary({ database }, "--days", "1", "--chaos", "--seed", seed);
    assert.deepEqual(await run("5"), await run("5"));
    assert.notDeepEqual((await run("5")).faults, (await run("6")).faults);
  });

  test("a rotation whose configuration is at fault does not keep the others from being simulated", async () => {
    const { readers } = await summary({ database, broken: { outputs: [] } }, "--days", "1");
    assert.equal(readers.length, 2);
  });

  for (const [name, argv, code] of [
    ["a place that is none", ["--outage", "moon:2h"], "OutageNotUnderstood"],
    ["an outage without a length", ["--outage", "vault"], "OutageNotUnderstood"],
    [
      "an outage that lasts longer than it takes to come back",
      ["--outage", "vault:2h/1h"],
      "OutageNotUnderstood",
    ],
    ["a share without a percent sign", ["--ticks-lost", "0.3"], "ShareNotUnderstood"],
    ["more than all ticks", ["--ticks-lost", "130%"], "ShareNotUnderstood"],
    ["no day", ["--days", "0"], "DaysNotUnderstood"],
    ["a seed that is no number", ["--seed", "x"], "SeedNotUnderstood"],
    ["a skew that is no duration", ["--clock-skew", "a bit"], "SkewNotUnderstood"],
    ["a skew with which nothing works", ["--clock-skew", "6m"], "SkewNotUnderstood"],
    ["more failing calls than retries", ["--calls-failed", "26%"], "TooManyCallsFail"],
  ] as const) {
    test(`${name} is a mistake of usage`, async () => {
      const { exitCode, stderr } = await simulate({ database }, ...argv);
      assert.equal(exitCode, 2);
      assert.match(stderr, new RegExp(`^${code}: `));
    });
  }

  test("days beside a year are a mistake of usage", async () => {
    const { exitCode, stderr } = await simulate({ database }, "--year", "--days", "3");
    assert.equal(exitCode, 2);
    assert.match(stderr, /--year.*--days/);
  });

  test("a reader that never holds a token is shown, and the exit code says so", async () => {
    const { exitCode, stdout } = await simulate({ database }, "--days", "1", "--ticks-lost", "100%");
    assert.equal(exitCode, 1);
    assert.match(stdout, /readers of the vault +no token *$/m);
  });

  test("as many failing calls as are taken break no rule", async () => {
    const { violations, faults } = await summary({ database, drive }, "--days", "4", "--calls-failed", "25%");
    assert.deepEqual(violations, []);
    assert.ok((faults["call: hangs"] ?? 0) > 50);
  });

  test("nothing to simulate is told", async () => {
    const { exitCode, stderr } = await simulate({ broken: { outputs: [] } });
    assert.equal(exitCode, 2);
    assert.match(stderr, /^NothingToSimulate: /);
  });

  test("Ctrl-C ends it with what has been seen so far", async () => {
    await writeFile(join(directory, "rotations.json"), JSON.stringify({ rotations: { database } }));
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    const { stdout } = await command(["simulate", "--days", "3000"], {
      directory,
      signal: controller.signal,
    });
    const [, days] = /^([\d.]+) days, /m.exec(stdout) ?? [];
    assert.ok(Number(days) < 100, days);
  });
});

test("the progress bar is drawn for a person at a terminal, now and then, and taken away", () => {
  const written: string[] = [];
  let now = 0;
  const output = {
    write: (text: string) => written.push(text),
    isTerminal: true,
    hasColours: false,
    columns: 80,
  };
  const io = {
    environment: {},
    directory: "/",
    clock: { now: () => now, sleep: async () => {} },
    signal: new AbortController().signal,
    stdout: output,
    stderr: output,
  };
  const show = progressBar(io, "30 days");
  show(0);
  show(0.1);
  now = 200;
  show(0.5);
  show(undefined);
  assert.deepEqual(written, [
    `\r${"░".repeat(30)}   0 % of 30 days`,
    `\r${"█".repeat(15)}${"░".repeat(15)}  50 % of 30 days`,
    "\r\u001b[K",
  ]);
  written.length = 0;
  const quiet = progressBar({ ...io, stderr: { ...output, isTerminal: false } }, "30 days");
  quiet(0.5);
  quiet(undefined);
  assert.deepEqual(written, []);
});
