import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { trustInThisProcess } from "../../src/local/certificateAuthority.ts";
import { command } from "./testIo.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

let state: string;

before(async () => {
  state = await mkdtemp(join(tmpdir(), "local-"));
});

after(() => rm(state, { recursive: true }));

function built(...argv: string[]): ReturnType<typeof builtIn> {
  return builtIn(root, ...argv);
}

/** Runs the command line of a package that was built. */
function builtIn(
  folder: string,
  ...argv: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = join(folder, "dist/cli/token-rotator.js");
  return new Promise((resolve) => {
    const options = { timeout: 60_000, killSignal: "SIGKILL" } as const;
    execFile(process.execPath, [program, ...argv], options, (error, stdout, stderr) => {
      resolve({
        code: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
        stdout,
        stderr,
      });
    });
  });
}

describe("token-rotator local", () => {
  test("one tick of the built functions refreshes a token of every source", async () => {
    const { code, stdout, stderr } = await built(
      "local",
      "--functions",
      "--once",
      "--json",
      "--state",
      state,
    );
    assert.equal(code, 0, stderr + stdout);
    const { succeeded, events, telemetry, status, mounted } = JSON.parse(stdout);
    assert.equal(succeeded, true);
    const sample = JSON.parse(await readFile(join(state, "rotations.json"), "utf8"));
    const names = Object.keys(sample.rotations).sort();
    const told = (name: string) =>
      events
        .filter(({ event }: { event: string }) => event === name)
        .map(({ rotation }: { rotation: string }) => rotation);
    assert.deepEqual(told("RotationSucceeded").sort(), names);
    assert.equal(told("TickCompleted").length, 1);
    // As they arrived at the embedded Application Insights: what the log says, and two metrics for each output.
    assert.deepEqual(telemetry, { events: events.length, metrics: 2 * status.length, others: 0 });
    assert.deepEqual(
      new Set(status.map(({ freshness }: { freshness: string }) => freshness)),
      new Set(["fresh"]),
    );
    const restarted = events.find(({ event }: { event: string }) => event === "ConsumerUpdated");
    assert.equal(restarted?.state, "current");
    assert.deepEqual(
      mounted.map(({ name, error }: { name: string; error?: string }) => [name, error]),
      ["oracle-adb", "lakebase", "oci-cli"].map((name) => [name, undefined]),
    );
    assert.match(await readFile(join(state, "mount", "oracle-adb", "token"), "utf8"), /^eyJ[\w.-]+$/);
  });

  test("functions that cannot be started end it, and say why", async () => {
    const copy = join(state, "package");
    await cp(join(root, "dist/cli"), join(copy, "dist/cli"), { recursive: true });
    await symlink(join(root, "node_modules"), join(copy, "node_modules"), "junction");
    await writeFile(join(copy, "host.json"), "{}");
    await writeFile(join(copy, "package.json"), '{"type":"module","main":"broken.js"}');
    await writeFile(join(copy, "broken.js"), 'throw new Error("broken on purpose");');
    const { code, stderr } = await builtIn(copy, "local", "--functions", "--state", join(copy, "state"));
    assert.equal(code, 1);
    assert.match(stderr, /broken on purpose[\s\S]*\nFunctionsHostFailed: /);
  });

  test("a state directory that cannot be made is a usage error", async () => {
    const file = join(state, "file");
    await writeFile(file, "");
    const { exitCode, stderr } = await command(["local", "--state", join(file, "below")]);
    assert.equal(exitCode, 2);
    assert.match(stderr, /^DirectoryUnusable: /);
  });

  test("so is one below what takes no directories, where Node.js itself would try for ever", async () => {
    const nowhere = process.platform === "win32" ? "NUL\\below" : "/proc/nowhere/below";
    // In a process of its own, because one that tries for ever cannot be ended otherwise.
    const { code, stderr } = await built("local", "--state", nowhere);
    assert.equal(code, 2);
    assert.match(stderr, /^DirectoryUnusable: .*errorCode=E/);
  });

  test("a vault that is called too fast says so, as in Azure", async () => {
    const stop = new AbortController();
    const io = new PassThrough();
    const running = command(["local", "--state", state, "--json"], {
      signal: stop.signal,
      onStdout: (text) => io.write(text),
    });
    const [line] = await once(io, "data");
    const { environment } = JSON.parse(String(line));
    const ca = await readFile(environment.NODE_EXTRA_CA_CERTS, "utf8");
    using _trust = trustInThisProcess(ca);
    const { IDENTITY_ENDPOINT, IDENTITY_HEADER, AZURE_CLIENT_ID, KEY_VAULT_URL } = environment;
    const query = `api-version=2019-08-01&resource=https://vault.azure.net&client_id=${AZURE_CLIENT_ID}`;
    const token = await fetch(`${IDENTITY_ENDPOINT}?${query}`, {
      headers: { "x-identity-header": IDENTITY_HEADER },
    });
    const { access_token: authorization } = (await token.json()) as { access_token: string };
    const statuses = await Promise.all(
      Array.from({ length: 310 }, async (_, index) => {
        const answer = await fetch(`${KEY_VAULT_URL}/secrets/burst-${index}?api-version=7.4`, {
          method: "PUT",
          headers: { authorization: `Bearer ${authorization}`, "content-type": "application/json" },
          body: '{"value":"x"}',
        });
        await answer.bytes();
        return answer.status;
      }),
    );
    stop.abort();
    await running;
    assert.equal(statuses.filter((status) => status === 200).length, 300);
    assert.equal(statuses.filter((status) => status === 429).length, 10);
  });

  test("without functions it prints what a program needs to use it, until it is stopped", async () => {
    const stop = new AbortController();
    const running = command(["local", "--state", state, "--json"], { signal: stop.signal });
    // What it prints is kept until it ends; it listens until then.
    stop.abort();
    const { exitCode, stdout } = await running;
    assert.equal(exitCode, 0);
    const { environment } = JSON.parse(stdout);
    assert.match(environment.KEY_VAULT_URL, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.match(await readFile(environment.NODE_EXTRA_CA_CERTS, "utf8"), /^-----BEGIN CERTIFICATE-----/);
  });
});
