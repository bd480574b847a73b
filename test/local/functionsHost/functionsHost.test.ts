import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { RotatorError } from "../../../src/errors.ts";
import {
  type FunctionsHost,
  type FunctionsHostLog,
  type FunctionsHostOptions,
  startFunctionsHost,
} from "../../../src/local/functionsHost/functionsHost.ts";

let directory: string;
let packageDirectory: string;
let stateDirectory: string;

before(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "functions-host-")));
  packageDirectory = join(directory, "app");
  stateDirectory = join(directory, "state");
  const fixture = (name: string) => fileURLToPath(new URL(`./fixture/${name}`, import.meta.url));
  await build({
    input: [fixture("timers.ts"), fixture("http.ts")],
    platform: "node",
    external: ["@azure/functions-core"],
    logLevel: "warn",
    output: {
      dir: join(packageDirectory, "functions"),
      chunkFileNames: "chunks/[name]-[hash].js",
    },
  });
  await writeManifest(packageDirectory, "functions/*.js");
});

after(() => rm(directory, { recursive: true, force: true }));

async function writeManifest(folder: string, main: string) {
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module", main }));
}

/** Collects the log, and tells when a line comes. */
class Log {
  readonly lines: FunctionsHostLog[] = [];
  readonly #waiting: { text: string; resolve: () => void }[] = [];

  readonly write = (line: FunctionsHostLog) => {
    this.lines.push(line);
    for (const { text, resolve } of this.#waiting) {
      if (line.message.includes(text)) {
        resolve();
      }
    }
  };

  until(text: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ text, resolve }));
  }

  /** The lines with that text, without what differs from run to run. */
  find(text: string) {
    return this.lines
      .filter(({ message }) => message.includes(text))
      .map(({ level, category, functionName, message }) => ({ level, category, functionName, message }));
  }
}

function start(options: Partial<FunctionsHostOptions> = {}): Promise<FunctionsHost> {
  const environment = { TOLD_SCHEDULE: "0 0 0 1 1 *", SETTING: "set" };
  return startFunctionsHost({ packageDirectory, stateDirectory, environment, ...options });
}

describe("the functions host", () => {
  const log = new Log();
  let host: FunctionsHost;

  before(async () => {
    process.env.OF_THE_PARENT = "must not reach the functions";
    host = await start({ onLog: log.write });
  });
  after(async () => {
    delete process.env.OF_THE_PARENT;
    await host?.stop();
  });

  const request = (path: string, init?: RequestInit) => fetch(`${host.url}/api/${path}`, init);
  const journal = async () => (await (await request("journal")).json()) as string[];

  it("lists what the code registered, with what it fires and what it cannot", () => {
    const byName = Object.fromEntries(host.functions.map(({ name, ...rest }) => [name, rest]));
    assert.deepEqual(byName.told, { trigger: "timerTrigger", schedule: "0 0 0 1 1 *" });
    assert.deepEqual(byName.echo, {
      trigger: "httpTrigger",
      route: "/api/items/{id}/{part?}",
      methods: ["GET", "POST"],
    });
    assert.deepEqual(
      host.functions.filter(({ error }) => error !== undefined).map(({ name }) => name),
      ["numbered", "unset", "mistaken", "queued"],
    );
    assert.equal(byName.unset?.error, "'%NOT_SET%' does not resolve to a value.");
    assert.match(byName.mistaken?.error ?? "", /NCRONTAB.*every night/);
    assert.equal(log.find("function is in error").length, 4);
    assert.equal(log.find("The retry policy of 'failing' is ignored").length, 1);
  });

  it("knows when a timer is next due", () => {
    const next = host.nextRun("told");
    assert.ok(next !== undefined);
    assert.match(next.toISOString(), /^\d{4}-01-01T00:00:00\.000Z$/);
    assert.equal(host.nextRun("unset"), undefined);
    assert.equal(host.nextRun("echo"), undefined);
  });

  it("records the status of its timers from the start", async () => {
    const status = JSON.parse(await readFile(join(stateDirectory, "told.status.json"), "utf8"));
    assert.equal(status.Last, "0001-01-01T00:00:00+00:00");
    assert.equal(Date.parse(status.Next), host.nextRun("told")?.getTime());
  });

  it("fires a timer at once, with its hooks around it and its log as structured lines", async () => {
    const before = (await journal()).length;
    const result = await host.invoke("told");
    assert.equal(result.succeeded, true);
    assert.deepEqual((await journal()).slice(before, before + 3), [
      "pre told",
      "run told",
      "post told preInvocation",
    ]);
    const [line] = log.lines.filter(({ message }) => message.startsWith("timer {"));
    assert.equal(line?.functionName, "told");
    assert.equal(line?.invocationId, result.invocationId);
    assert.equal(line?.level, "information");
    assert.equal(line?.category, "user");
    const timer = JSON.parse(line?.message.slice("timer ".length) ?? "");
    assert.equal(timer.isPastDue, false);
    assert.deepEqual(timer.schedule, { adjustForDST: true });
    assert.equal(timer.scheduleStatus.last, "0001-01-01T00:00:00+00:00");
    assert.equal(Date.parse(timer.scheduleStatus.next), host.nextRun("told")?.getTime());
    assert.deepEqual(log.find("[hidden]"), [
      { level: "warning", category: "user", functionName: "told", message: "the [hidden]" },
    ]);
  });

  it("runs the appStart hooks once, before everything else", async () => {
    const names = await journal();
    assert.equal(names.indexOf("appStart"), 0);
    assert.equal(names.lastIndexOf("appStart"), 0);
    assert.equal(names.includes("a hook that was removed"), false);
  });

  it("tells of a run that failed, by name and in the log", async () => {
    const { succeeded, error } = await host.invoke("failing");
    assert.equal(succeeded, false);
    assert.deepEqual(error, { name: "RangeError", code: "ERR_FIXTURE" });
    const [line] = log.find("RangeError: out of range");
    assert.equal(line?.level, "error");
    assert.match(line?.message ?? "", /^Executed 'Functions\.failing' \(Failed, Id=/);
  });

  it("lets a postInvocation hook take an error away", async () => {
    assert.equal((await host.invoke("forgiven")).succeeded, true);
  });

  it("refuses to fire what is no timer, is in error or does not exist", async () => {
    for (const name of ["echo", "unset", "nobody"]) {
      await assert.rejects(
        host.invoke(name),
        (error) =>
          error instanceof RotatorError && error.code === "FunctionUnknown" && error.facts.function === name,
      );
    }
  });

  it("hands an HTTP function its request and the caller its answer", async () => {
    const response = await request("Items/a%2Fb/part?x=1&x=2&y=%C3%BC", {
      method: "POST",
      headers: { "x-question": "why" },
      body: "the body",
    });
    assert.equal(response.status, 201);
    assert.equal(response.headers.get("x-answer"), "yes");
    assert.deepEqual(response.headers.getSetCookie(), ["crumb=a%20b; path=/; max-age=60; httponly"]);
    assert.deepEqual(await response.json(), {
      method: "POST",
      path: "/api/Items/a%2Fb/part",
      params: { id: "a/b", part: "part" },
      query: { x: "1,2", y: "ü" },
      header: "why",
      body: "the body",
    });
  });

  it("finds the most specific route", async () => {
    assert.equal(await (await request("items/latest")).text(), "the latest");
    assert.deepEqual(((await (await request("items/other")).json()) as { params: object }).params, {
      id: "other",
    });
    assert.deepEqual(await (await request("files/a/b.txt")).json(), { path: "a/b.txt" });
    assert.deepEqual(await (await request("files")).json(), { path: "" });
  });

  it("carries bytes unchanged", async () => {
    const body = Uint8Array.from({ length: 256 }, (_, index) => index);
    const response = await request("bytes", { method: "PUT", body });
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), body);
  });

  it("answers as the runtime does where there is nothing, no such function, or a failure", async () => {
    assert.equal((await request("nothing")).status, 204);
    for (const path of ["items", "items/1/2/3", "numbered/1", "told", "../echo", "items/%E0"]) {
      assert.equal((await request(path)).status, 404, path);
    }
    assert.equal((await request("items/latest", { method: "DELETE" })).status, 404);
    const broken = await request("broken");
    assert.equal(broken.status, 500);
    assert.equal(await broken.text(), "");
  });

  it("opens functions with keys to those who have the right one", async () => {
    const functionKey = host.functionKey.reveal();
    const masterKey = host.masterKey.reveal();
    const table: [string, string | undefined, number][] = [
      ["keyed", undefined, 401],
      ["keyed", "", 401],
      ["keyed", `${functionKey}x`, 401],
      ["keyed", functionKey, 200],
      ["keyed", masterKey, 200],
      ["admin", undefined, 401],
      ["admin", functionKey, 401],
      ["admin", masterKey, 200],
    ];
    for (const [path, key, status] of table) {
      const byHeader = await request(path, key === undefined ? {} : { headers: { "x-functions-key": key } });
      assert.equal(byHeader.status, status, `${path} by header`);
      const byQuery = await request(key === undefined ? path : `${path}?code=${key}`);
      assert.equal(byQuery.status, status, `${path} by query`);
    }
  });

  it("gives the functions the app settings, and of its own environment only what a process needs", async () => {
    const { cwd, names } = (await (await request("environment")).json()) as { cwd: string; names: string[] };
    assert.equal(cwd, packageDirectory);
    assert.ok(names.includes("SETTING"));
    assert.ok(names.includes("PATH"));
    assert.ok(names.includes("FUNCTIONS_WORKER_RUNTIME"));
    assert.equal(names.includes("OF_THE_PARENT"), false);
  });

  it("stops once a run that is under way has ended, after the appTerminate hooks", async () => {
    const begun = log.until("lasting has begun");
    const run = host.invoke("lasting");
    await begun;
    await host.stop();
    assert.equal((await run).succeeded, true);
    assert.equal(await host.exited, 0);
    const order = ["lasting has ended", "Executed 'Functions.lasting' (Succeeded", "appTerminate"];
    const found = order.map((text) => log.lines.findIndex(({ message }) => message.includes(text)));
    assert.deepEqual(
      found,
      found.toSorted((a, b) => a - b),
    );
    assert.equal(found.includes(-1), false);
    assert.deepEqual(log.find("appTerminate"), [
      { level: "information", category: "console", functionName: undefined, message: "appTerminate" },
    ]);
    await assert.rejects(host.invoke("told"), { code: "FunctionsHostExited" });
    await assert.rejects(request("nothing"));
  });
});

describe("the functions host, when things go wrong", () => {
  it("abandons a run that does not end in time", async () => {
    const log = new Log();
    const host = await start({ onLog: log.write, graceMs: 1 });
    const begun = log.until("endless has begun");
    const run = host.invoke("endless");
    const refused = assert.rejects(run, { code: "FunctionsHostExited" });
    await begun;
    await host.stop();
    await refused;
    assert.equal(await host.exited, 1);
    assert.equal(log.find("it was abandoned").length, 1);
  });

  it("says why an app cannot be started", async () => {
    const folder = join(directory, "broken");
    await mkdir(folder);
    await writeFile(join(folder, "index.js"), 'throw new TypeError("broken while it was loaded");');
    const log = new Log();
    const starting = async (main: string) => {
      await writeManifest(folder, main);
      await start({ packageDirectory: folder, onLog: log.write });
    };
    await assert.rejects(starting("index.js"), (error) => {
      assert.ok(error instanceof RotatorError);
      assert.equal(error.code, "FunctionsHostFailed");
      assert.deepEqual(error.facts, { errorName: "TypeError" });
      return true;
    });
    assert.equal(log.find("broken while it was loaded")[0]?.level, "critical");
    await assert.rejects(starting("missing/*.js"), (error) => {
      assert.ok(error instanceof RotatorError);
      assert.equal(error.code, "FunctionAppInvalid");
      assert.deepEqual(error.facts, { reason: "no file matches missing/*.js" });
      return true;
    });
  });
});
