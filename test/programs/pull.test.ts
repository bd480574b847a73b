import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import { machineFileSystem } from "../../src/delivery/files/fileSystem.ts";
import { pullFiles } from "../../src/delivery/files/pull.ts";
import { readerEnvironment } from "../../src/delivery/files/readerEnvironment.ts";
import { targetsOf } from "../../src/delivery/files/targets.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken, hours, vault } from "../builders.ts";
import { MemoryStore } from "../fakes/memoryStore.ts";
import { layOut } from "../formats/layOut.ts";
import { startTokenPostgres, type TokenPostgres, user } from "../local/postgresTokens.ts";

/*
 * psql logs in with nothing but the user's own ~/.pgpass, into which pull has put our line: with the first token, not with the
 * expired one, and with the next. And Oracle's CLI takes the session that pull has put beside the user's own profile.
 * OCI_CLI names its program where it is not on the PATH; without psql and the CLI these tests fail.
 */

let postgres: TokenPostgres;
let home: string;
before(async () => {
  postgres = await startTokenPostgres();
  home = await mkdtemp(join(tmpdir(), "home-"));
});
after(async () => {
  await postgres?.[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

function psql(): Promise<{ exitCode: number | string; output: string; errors: string }> {
  const { port } = postgres.server;
  const query = ["--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--command", "select 40 + 2"];
  const connection = `host=127.0.0.1 port=${port} user=${user} dbname=app sslmode=require`;
  const env = { PATH: process.env.PATH, HOME: home, LC_ALL: "C" };
  return new Promise((resolve) => {
    execFile("psql", [...query, connection], { env, timeout: 30_000 }, (error, output, errors) => {
      resolve({ exitCode: error?.code ?? 0, output, errors });
    });
  });
}

test("psql logs in with the line among the user's own, and again after each renewal", async () => {
  const { clock, server } = postgres;
  const output = { format: "pgpass", host: "127.0.0.1", port: server.port, user } as const;
  const document = {
    vault,
    rotations: {
      app: {
        source: { kind: "entra", scope: "api://app/.default" },
        outputs: [{ secret: "pgpass", ...output }],
        files: [{ kind: "pgpass", output: "pgpass" }],
      },
    },
  };
  const file = join(home, "rotations.json");
  const { targets } = targetsOf(
    parseConfiguration(JSON.stringify(document), { file, environment: {} }),
    [],
    home,
  );
  const store = new MemoryStore(vault, clock);
  const pull = async () => {
    const text = await layOut(output, aToken({ text: await postgres.sign() }));
    const expiresOn = new Date(clock.now() + hours);
    store.seed("pgpass", { value: new SecretValue(text), properties: { expiresOn } });
    const context = { signal: new AbortController().signal, giveUpAt: clock.now() };
    const [pulled] = await pullFiles(
      targets,
      { storeOf: () => store, fs: machineFileSystem(), clock },
      context,
    );
    assert.deepEqual([pulled?.changed, pulled?.error], [true, undefined]);
  };
  // A line of the user's that would match first, in a mode that libpq does not take.
  const own = `# mine\nelsewhere:5432:*:me:mine\n*:*:*:${user}:a password of before\n`;
  await writeFile(join(home, ".pgpass"), own, { mode: 0o644 });

  const answered = { exitCode: 0, output: "42\n", errors: "" };
  await pull();
  assert.deepEqual(await psql(), answered);
  await clock.advance(hours);
  assert.match((await psql()).errors, /The access token has expired/);
  await pull();
  assert.deepEqual(await psql(), answered);

  const lines = (await readFile(join(home, ".pgpass"), "utf8")).split("\n");
  const ours = lines.filter((line) => line.startsWith(`127.0.0.1:${server.port}:`));
  assert.equal(ours.length, 1);
  assert.equal(lines.filter((line) => !ours.includes(line)).join("\n"), own);
});

test("the OCI CLI takes the session, and again one with another key, without a word of warning", async () => {
  const session = {
    kind: "oci-session",
    bundle: "bundle",
    profile: "SVC",
    region: "eu-frankfurt-1",
    tenancy: "ocid1.tenancy.oc1..a",
  };
  const document = {
    vault,
    rotations: {
      app: {
        source: { kind: "entra", scope: "api://app/.default" },
        outputs: [{ secret: "bundle", format: "oci-bundle" }],
        files: [session],
      },
    },
  };
  const file = join(home, "rotations.json");
  const { targets } = targetsOf(
    parseConfiguration(JSON.stringify(document), { file, environment: {} }),
    [],
    home,
  );
  // The CLI looks at the machine's clock.
  const store = new MemoryStore(vault, systemClock);
  const pull = async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const now = systemClock.now();
    const expiresOn = new Date(now + hours);
    const part = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64url");
    const exp = Math.floor(expiresOn.getTime() / 1000);
    const bundle = {
      token: `${part({ alg: "RS256" })}.${part({ sub: "ocid1.user.oc1..a", iat: exp - 3600, exp })}.c2lnbmVk`,
      privateKey: privateKey.export({ type: "pkcs8", format: "pem" }),
    };
    store.seed("bundle", { value: new SecretValue(JSON.stringify(bundle)), properties: { expiresOn } });
    const environment = { storeOf: () => store, fs: machineFileSystem(), clock: systemClock };
    const context = { signal: new AbortController().signal, giveUpAt: now };
    const [pulled] = await pullFiles(targets, environment, context);
    assert.deepEqual([pulled?.changed, pulled?.error], [true, undefined]);
  };
  await mkdir(join(home, ".oci"), { mode: 0o700 });
  await writeFile(join(home, ".oci", "config"), "[DEFAULT]\nregion=us-ashburn-1\n", { mode: 0o600 });
  for (const round of ["first", "second"]) {
    await pull();
    const { exitCode, output, errors } = await ociCli(
      readerEnvironment(targets),
      "session",
      "validate",
      "--local",
    );
    assert.deepEqual([round, exitCode, output], [round, 0, ""]);
    assert.match(errors, /^Session is valid until \S+ \S+\s*$/);
  }
});

function ociCli(
  environment: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<{ exitCode: number | string; output: string; errors: string }> {
  const env = { PATH: process.env.PATH, HOME: home, LC_ALL: "C.UTF-8", ...environment };
  return new Promise((resolve) => {
    execFile(process.env.OCI_CLI ?? "oci", [...args], { env, timeout: 60_000 }, (error, output, errors) => {
      resolve({ exitCode: error?.code ?? 0, output, errors });
    });
  });
}
