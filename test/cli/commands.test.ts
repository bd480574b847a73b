import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import type { Clock } from "../../src/ports.ts";
import { takeIdentity } from "../processIdentity.ts";
import { type CommandResult, type CommandSurroundings, command } from "./testIo.ts";

const scope = "https://ossrdbms-aad.database.windows.net/.default";

let azure: EmbeddedAzure;
let directory: string;
let trust: Disposable;
let identity: Disposable;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "cli-"));
});

after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
});

async function run(configuration: unknown, ...argv: string[]): Promise<CommandResult> {
  return await runWith({}, configuration, ...argv);
}

async function runWith(
  surroundings: CommandSurroundings,
  configuration: unknown,
  ...argv: string[]
): Promise<CommandResult> {
  const text = typeof configuration === "string" ? configuration : JSON.stringify(configuration);
  await writeFile(join(directory, "rotations.json"), text);
  return await command(argv, { environment: azure.environment, directory, ...surroundings });
}

function rotations(secret: string): object {
  return { rotations: { app: { source: { kind: "entra", scope }, outputs: [{ secret }] } } };
}

describe("the way of a token, command by command", () => {
  test("plan says what rotate then does, and status what came of it", async () => {
    const configuration = rotations("way");
    const plan = await run(configuration, "plan", "--json");
    assert.equal(plan.exitCode, 0);
    const output = { secret: "way", vault: azure.vault.url, reason: "SecretMissing" };
    assert.deepEqual(JSON.parse(plan.stdout), [
      { rotation: "app", action: "rotate", reason: "SecretMissing", outputs: [output], consumers: [] },
    ]);
    assert.equal(azure.requests.count("keyvault.setSecret"), 0, "plan changes nothing");

    const missing = await run(configuration, "status", "--json");
    assert.equal(missing.exitCode, 1);
    assert.equal(JSON.parse(missing.stdout)[0].freshness, "missing");

    const rotate = await run(configuration, "rotate", "app", "--json");
    assert.equal(rotate.exitCode, 0);
    const [row] = JSON.parse(rotate.stdout);
    assert.equal(row.outcome, "Rotated");
    assert.match(row.version, /^[0-9a-f]{32}$/);

    const status = await run(configuration, "status", "--json");
    assert.equal(status.exitCode, 0);
    const [fresh] = JSON.parse(status.stdout);
    assert.equal(fresh.freshness, "fresh");
    assert.equal(fresh.expiresOn, row.expiresOn);
    assert.ok(Date.parse(fresh.renewAt) < Date.parse(fresh.expiresOn));

    const again = await run(configuration, "rotate");
    assert.equal(again.exitCode, 0);
    assert.match(again.stdout, /app +Fresh +Fresh/);
    assert.equal(azure.vault.secrets.versions("way").length, 1);
  });

  test("no output of any command holds the token", async () => {
    const configuration = rotations("masked");
    const printed = [
      await run(configuration, "rotate", "--json"),
      await run(configuration, "rotate", "--force"),
      await run(configuration, "status"),
      await run(configuration, "plan"),
    ];
    const token = azure.vault.secrets.get("masked").value.reveal();
    for (const { stdout, stderr } of printed) {
      assert.ok(!`${stdout}${stderr}`.includes(token));
    }
  });

  test("pause really pauses, and resume takes it up again", async () => {
    const configuration = rotations("paused");
    await run(configuration, "rotate");
    const paused = await run(configuration, "pause", "app", "--until", "2h");
    assert.equal(paused.exitCode, 0);
    assert.match(paused.stdout, /^app is paused until \d{4}-/);
    const forced = await run(configuration, "rotate", "app", "--force", "--json");
    assert.equal(JSON.parse(forced.stdout)[0].outcome, "Paused");
    assert.equal(JSON.parse((await run(configuration, "status", "--json")).stdout)[0].freshness, "paused");
    assert.equal((await run(configuration, "resume", "app")).exitCode, 0);
    const resumed = await run(configuration, "rotate", "app", "--force", "--json");
    assert.equal(JSON.parse(resumed.stdout)[0].reason, "Forced");
  });

  test("a rotation that fails gives 1 and says what to do", async () => {
    const unknown = {
      rotations: {
        app: {
          source: { kind: "entra", scope: "https://unknown.example.org/.default" },
          outputs: [{ secret: "x" }],
        },
      },
    };
    const { exitCode, stdout, stderr } = await run(unknown, "rotate");
    assert.equal(exitCode, 1);
    assert.match(stdout, /app +Failed +SecretMissing/);
    assert.match(stderr, /^ResourceUnknown: /);
  });

  test("somebody else's secret is blocked, and people are told what to do about it", async () => {
    azure.vault.secrets.set("foreign", "theirs");
    const { exitCode, stdout } = await run(rotations("foreign"), "plan", "--json");
    assert.equal(exitCode, 1);
    assert.equal(JSON.parse(stdout)[0].action, "blocked");
    for (const argv of [["plan"], ["status"], ["plan", "--json"], ["status", "--json"]]) {
      const told = await run(rotations("foreign"), ...argv);
      assert.equal(told.exitCode, 1);
      assert.match(told.stderr, /^SecretNotOurs: .*secret=foreign.*\n {2}Choose another secret name/);
    }
  });

  test("a rotation that is named twice is carried out once", async () => {
    const { stdout } = await run(rotations("twice"), "rotate", "app", "app", "--json");
    assert.equal(JSON.parse(stdout).length, 1);
    assert.equal(azure.vault.secrets.versions("twice").length, 1);
  });

  test("a rotation of whose outputs none can be read is not healthy", async () => {
    const { exitCode, stdout } = await run(
      { rotations: { app: { source: { kind: "entra", scope } } } },
      "status",
      "--json",
    );
    assert.equal(exitCode, 1);
    const [row, ...others] = JSON.parse(stdout);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [row.rotation, row.freshness, row.reason, row.secret],
      ["app", "blocked", "ConfigurationInvalid", ""],
    );
  });

  test("an empty ROTATIONS_FILE means the default, as it does for the functions", async () => {
    assert.equal((await run(rotations("x"), "validate", "--config", "")).exitCode, 0);
  });
});

describe("status --watch", () => {
  /** Lets a watch run until it has slept so often, and ends it as Ctrl-C would. */
  async function watch(configuration: unknown, looks: number): Promise<CommandResult> {
    const stop = new AbortController();
    let slept = 0;
    const sleep: Clock["sleep"] = (ms, signal) => {
      // A look bounds itself with a longer sleep.
      if (ms !== 5_000) {
        return systemClock.sleep(ms, signal);
      }
      slept += 1;
      if (slept === looks) {
        stop.abort();
      }
      return Promise.resolve();
    };
    const clock = { now: systemClock.now, sleep };
    return await runWith({ clock, signal: stop.signal }, configuration, "status", "--watch");
  }

  test("shows one table after the other, and ends on Ctrl-C without a complaint", async () => {
    const { exitCode, stdout, stderr } = await watch(rotations("watched"), 2);
    assert.equal(exitCode, 1);
    assert.equal(stdout.match(/watched +missing/g)?.length, 2);
    assert.equal(stderr, "");
  });

  test("says why nothing is known, and goes on looking", async () => {
    const refusal = azure.faults.inject({ operation: "keyvault.*", kind: "answer", status: 403 });
    const { exitCode, stdout } = await watch(rotations("watched"), 2);
    refusal.remove();
    assert.equal(exitCode, 1);
    assert.equal(stdout.match(/unknown +StateUnknown/g)?.length, 2);
    assert.equal(stdout.match(/^VaultForbidden: /gm)?.length, 2);
  });

  test("ends without a complaint in the middle of a look", async () => {
    const stop = new AbortController();
    const clock = {
      now: systemClock.now,
      sleep: (ms: number, signal?: AbortSignal) => {
        stop.abort();
        return systemClock.sleep(ms, signal);
      },
    };
    for (const [argv, code] of [
      [["status", "--watch"], 0],
      [["plan"], 1],
    ] as const) {
      const ended = await runWith({ clock, signal: stop.signal }, rotations("watched"), ...argv);
      assert.deepEqual([ended.exitCode, ended.stdout, ended.stderr], [code, "", ""]);
    }
  });
});

describe("usage and configuration errors give 2, name the cure, and write nothing", () => {
  const bad: [name: string, configuration: unknown, argv: string[], told: RegExp][] = [
    ["an empty file", "", ["rotate"], /ConfigurationNotJson.*line=1, column=1/],
    ["not JSON", '{"rotations": }', ["plan"], /ConfigurationNotJson.*line=1, column=15/],
    ["a list", "[]", ["status"], /the document is a list/],
    ["no such command", rotations("x"), ["rotat"], /Did you mean rotate\?/],
    ["no such option", rotations("x"), ["rotate", "--forced"], /unknown option '--forced'/],
    ["no such rotation", rotations("x"), ["rotate", "ap"], /RotationUnknown.*didYouMean=app/],
    [
      "a pause that ends in the past",
      rotations("x"),
      ["pause", "app", "--until", "2020-01-01"],
      /TimeNotUnderstood/,
    ],
  ];
  for (const [name, configuration, argv, told] of bad) {
    test(name, async () => {
      azure.requests.clear();
      const { exitCode, stdout, stderr } = await run(configuration, ...argv);
      assert.equal(exitCode, 2);
      assert.equal(stdout, "");
      assert.match(stderr, told);
      assert.equal(azure.requests.count("keyvault.setSecret"), 0);
    });

    test(`${name}, as --json`, async () => {
      const { exitCode, stdout, stderr } = await run(configuration, ...argv, "--json");
      assert.equal(exitCode, 2);
      assert.match(stderr, told);
      const { error } = JSON.parse(stdout);
      assert.match(error.code, /^[A-Z][A-Za-z]+$/);
      assert.ok(error.message !== "" && error.remedy !== "");
    });
  }

  test("--json behind a -- is for the other program", async () => {
    const { exitCode, stdout } = await run(rotations("x"), "exec", "app", "--", "true", "--json");
    assert.deepEqual([exitCode, stdout], [2, ""]);
  });

  test("a configuration that cannot be used has all its problems in the document", async () => {
    const { exitCode, stdout } = await run({ tick: "x", rotations: { a: 1 } }, "plan", "--json");
    assert.equal(exitCode, 2);
    const { error } = JSON.parse(stdout);
    assert.equal(error.code, "ConfigurationInvalid");
    const pointers = error.problems.map(({ pointer }: { pointer: string }) => pointer);
    assert.deepEqual(pointers, ["tick", "rotations.a"]);
  });

  test("a file that is not there", async () => {
    const { exitCode, stderr } = await command(["validate", "-c", "nowhere.json"], { directory });
    assert.equal(exitCode, 2);
    assert.match(stderr, /ConfigurationUnreadable.*nowhere\.json/);
  });

  test("validate shows every problem at once, and --json the same as data", async () => {
    const configuration = {
      rotations: {
        a: { source: { kind: "entra", scope: "https://example.org" }, outputs: [{ secret: "a_b" }] },
        b: {
          source: { kind: "entra", scope },
          outputs: [{ secret: "b", format: "template", template: "{{ tokn }}" }],
        },
      },
    };
    const text = await run(configuration, "validate");
    assert.equal(text.exitCode, 2);
    assert.match(text.stderr, /3 problems/);
    const json = await run(configuration, "validate", "--json");
    assert.equal(json.exitCode, 2);
    assert.deepEqual(
      JSON.parse(json.stdout).problems.map(({ pointer }: { pointer: string }) => pointer),
      ["rotations.a.source.scope", "rotations.a.outputs[0].secret", "rotations.b.outputs[0]"],
    );
  });

  test("validate shows the arithmetic of a good one", async () => {
    const { exitCode, stdout } = await run(rotations("x"), "validate");
    assert.equal(exitCode, 0);
    assert.match(stdout, /^\S+ is valid: 1 rotation\.\n {2}app: /);
    assert.match(stdout, /lifetime 1h − margin 22m − tick 5m − propagation 5m = 28m/);
  });
});

describe("help", () => {
  for (const argv of [["--help"], ["rotate", "--help"], ["--version"]]) {
    test(argv.join(" "), async () => {
      const { exitCode, stdout, stderr } = await command(argv);
      assert.equal(exitCode, 0);
      assert.equal(stderr, "");
      assert.ok(stdout.length > 0);
    });
  }
});
