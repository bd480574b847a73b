import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { createRotator } from "../../src/index.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import type { Fault, InjectedFault } from "../../src/local/faults.ts";
import { type FunctionsHost, startFunctionsHost } from "../../src/local/functionsHost/functionsHost.ts";
import { type Sample, sampleLifetimeSeconds, startSample } from "../../src/local/sample.ts";
import { createLogTelemetry } from "../../src/telemetry/logTelemetry.ts";
import { command } from "../cli/testIo.ts";
import { impatientClock } from "../impatientClock.ts";
import { Canaries, type Leak } from "../leaks/canaries.ts";
import { harvest, harvestVaults } from "../leaks/harvest.ts";

/*
 * Every secret of a run is known here, and everything that came out of the run is searched for every form of every one:
 * logs, telemetry, answers over HTTP, printed output, errors, files, arguments and environment of processes, the package.
 */

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Everything that came out, by where it came out. It is searched at the end, when every secret is known. */
const places = new Map<string, (string | Buffer)[]>();
const canaries = new Canaries();

function keep(place: string, ...contents: readonly (string | Buffer)[]): void {
  places.set(place, [...(places.get(place) ?? []), ...contents]);
}

let directory: string;
let azure: EmbeddedAzure;
let sample: Sample;
let host: FunctionsHost;
let trust: Disposable;
let file: string;
let environment: Readonly<Record<string, string>>;
let rotations: readonly string[];
let withConsumers: readonly string[];
let outputs: readonly string[];
const previousTemporary = process.env.TMPDIR;

const paths = { temporary: "tmp", state: "state", talkative: "talkative", home: "home", pulled: "pulled" };
const at = (name: keyof typeof paths) => join(directory, paths[name]);

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "leaks-"));
  for (const name of Object.keys(paths)) {
    await mkdir(at(name as keyof typeof paths), { mode: 0o700 });
  }
  // For this process and for those that it starts: what they leave behind is searched.
  process.env.TMPDIR = at("temporary");
  azure = await startEmbeddedAzure({
    caCertificateFile: join(at("state"), "ca.pem"),
    tokens: { lifetimeSeconds: sampleLifetimeSeconds },
  });
  harvest(azure, canaries);
  sample = await startSample(azure);
  trust = azure.trustInThisProcess();
  azure.vault.secrets.set("talkative-client-secret", `p4ssw0rd-${randomBytes(18).toString("base64url")}`);
  file = join(at("state"), "rotations.json");
  await writeFile(join(at("state"), "talkative.mjs"), talkativeModule);
  await writeFile(join(at("state"), sample.module.name), sample.module.text);
  const configuration = adapted(sample.configuration as SampleConfiguration);
  await writeFile(file, JSON.stringify(configuration));
  rotations = Object.keys(configuration.rotations);
  withConsumers = rotations.filter((name) => configuration.rotations[name]?.consumers !== undefined);
  outputs = Object.values(configuration.rotations).flatMap((rotation) =>
    rotation.outputs.map(({ secret }) => secret),
  );
  environment = { ...azure.environment, ...sample.environment, ROTATIONS_FILE: file, HOME: at("home") };
  Object.assign(process.env, azure.environment);
  harvestVaults(azure, canaries);
});

after(async () => {
  if (previousTemporary === undefined) {
    delete process.env.TMPDIR;
  } else {
    process.env.TMPDIR = previousTemporary;
  }
  await host?.stop();
  await sample.stop();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
});

interface SampleConfiguration {
  readonly rotations: Readonly<Record<string, SampleRotation>>;
}

interface SampleRotation {
  readonly outputs: readonly { readonly secret: string; readonly format?: string }[];
  readonly consumers?: readonly unknown[];
}

/** A source of the operator's own that does the worst an error can: it carries secrets, in every place it has. */
const talkativeModule = `
export async function mint({ readSecret }) {
  const secret = await readSecret("client");
  const error = new Error("refused: " + secret, { cause: { headers: { authorization: "Bearer " + secret } } });
  throw Object.assign(error, { name: secret, code: secret, request: { body: secret }, [secret]: true });
}`;

/** The sample with files on a host, a source that throws secrets, and less patience. */
function adapted(configuration: SampleConfiguration): SampleConfiguration {
  const pulled = Object.entries(configuration.rotations).map(([name, rotation]) => [
    name,
    {
      ...rotation,
      files: rotation.outputs
        .filter(({ format }) => format === undefined || ["pgpass", "dotenv", "postgres-uri"].includes(format))
        .map(({ secret, format = "raw" }) => ({
          kind: format === "pgpass" || format === "dotenv" ? format : "file",
          output: secret,
          path: join(at("pulled"), secret),
        })),
    },
  ]);
  const talkative = {
    source: {
      kind: "module",
      path: "talkative.mjs",
      secrets: { client: { secret: "talkative-client-secret" } },
      lifetime: `${sampleLifetimeSeconds}s`,
    },
    outputs: [{ secret: "talkative-token" }],
    lifetime: `${sampleLifetimeSeconds}s`,
    propagation: "10s",
  };
  return {
    ...configuration,
    retryBudget: "4s",
    rotations: { ...Object.fromEntries(pulled), talkative },
  } as SampleConfiguration;
}

/** So that there is something to mint, to write and to bring to consumers. */
function forgetOutputs(): void {
  harvestVaults(azure, canaries);
  for (const name of outputs) {
    if (azure.vault.secrets.versions(name).length > 0) {
      azure.vault.secrets.delete(name);
      azure.vault.secrets.purge(name);
    }
  }
}

/** A refusal that repeats what it was sent, as error pages do: everything that is known to be secret so far. */
function echo(): { body: string; headers: Record<string, string> } {
  const values = azure.vault.secrets.list().map(({ current }) => current.value.reveal());
  const known = values.concat(azure.identity.header);
  return {
    body: `<html><body>${known.join("\n")}</body></html>`,
    headers: {
      "content-type": "text/html",
      "x-echo": encodeURIComponent(known.join(" ")).slice(0, 4_000),
      "www-authenticate": `Bearer error="invalid_token", error_description="${encodeURIComponent(known[0] ?? "")}"`,
    },
  };
}

function faults(): readonly (readonly [name: string, fault: Fault])[] {
  const { body, headers } = echo();
  const oauth = JSON.stringify({ error: "invalid_client", error_description: body, error_uri: body });
  return [
    ["401", { kind: "answer", status: 401, body, headers }],
    ["403", { kind: "answer", status: 403, body: { error: { code: "Forbidden", message: body } } }],
    ["400 in the words of OAuth", { kind: "answer", status: 400, body: JSON.parse(oauth) }],
    ["429", { kind: "answer", status: 429, retryAfter: 1, body, headers }],
    ["500", { kind: "answer", status: 500, body, headers }],
    ["200 with a page", { kind: "answer", status: 200, body, headers }],
    ["reset", { kind: "reset" }],
    ["lost answer", { kind: "lostResponse" }],
  ];
}

describe("nothing secret leaves by a side door", { skip: process.platform === "win32" }, () => {
  test("of the functions, with all well and with everything at fault", async () => {
    host = await startFunctionsHost({
      packageDirectory: root,
      stateDirectory: at("state"),
      environment: { ...environment, ROTATION_SCHEDULE: "0 0 0 1 1 *" },
      onLog: (line) => keep("the log of the functions host", JSON.stringify(line), line.message),
    });
    canaries.add(host.functionKey.reveal(), "the function key");
    canaries.add(host.masterKey.reveal(), "the master key");
    await host.invoke("tick");
    assert.equal(azure.vault.secrets.versions("oracle-entraid-token").length, 1, "the functions work");
    await keepProcesses();
    // Each once for every operation: a refusal, and what comes after it.
    for (const [, fault] of faults().filter(([name]) => /^(?:401|500|200)/.test(name))) {
      forgetOutputs();
      const injected = services().map((service) => inject(service, fault, 2));
      await host.invoke("tick");
      remove(injected);
    }
    forgetOutputs();
    await callEndpoints();
  });

  test("of the packages, where somebody who looks for a fault has them say all that they know", async () => {
    const place = "the debug output of the packages";
    await using talkative = await startFunctionsHost({
      packageDirectory: root,
      stateDirectory: at("talkative"),
      environment: {
        ...environment,
        ROTATION_SCHEDULE: "0 0 0 1 1 *",
        AZURE_LOG_LEVEL: "verbose",
        DEBUG: "*",
      },
      onLog: ({ message }) => keep(place, message),
    });
    canaries.add(talkative.functionKey.reveal(), "the function key");
    forgetOutputs();
    await talkative.invoke("tick");
    for (const [, fault] of faults().filter(([name]) => /^(?:401|400|500|200)/.test(name))) {
      forgetOutputs();
      const injected = services().map((service) => inject(service, withoutChallenge(fault), 2));
      await talkative.invoke("tick");
      remove(injected);
    }
    const said = (places.get(place) ?? []).join("\n");
    for (const talker of ["azure:core-rest-pipeline", "azure:identity", "REDACTED"]) {
      assert.ok(said.includes(talker), `${talker} is heard`);
    }
  });

  test("of the library: reports, errors, events, whatever fails at whichever service", async () => {
    const clock = impatientClock();
    // To a clock that waits for nothing, every lease has run out.
    const { LEASE_CONTAINER_URL: _, ...withoutLeases } = environment;
    const codes = new Set<string>();
    for (const service of services().filter((name) => name !== "blobs")) {
      for (const [name, fault] of faults()) {
        forgetOutputs();
        const said: string[] = [];
        const log = createLogTelemetry((_level, line) => said.push(line));
        const telemetry = { ...log, metric: (metric: object) => void said.push(inspect(metric)) };
        const rotator = await createRotator({ file, environment: withoutLeases, clock, telemetry });
        const injected = inject(service, fault);
        const looks = await Promise.allSettled([rotator.status()]);
        // A restart takes its time; it is waited for where it is what fails.
        const names =
          service === "containerApps"
            ? withConsumers
            : rotations.filter((each) => !withConsumers.includes(each));
        const report = await rotator.tick({ force: true, names });
        remove([injected]);
        assert.ok(injected.applied > 0 || service === "ingestion", `${name} at ${service} was never met`);
        for (const { error } of report.rotations) {
          codes.add(error?.code ?? "none");
        }
        const everything = { looks, report, rotator };
        keep("events and metrics", ...said);
        keep("reports and errors, inspected", inspect(everything, { depth: 9, showHidden: true }));
        keep("reports and errors, as JSON", JSON.stringify(everything), ...stacks(report));
      }
    }
    assert.ok(codes.size >= 8, `different errors were met: ${[...codes].join(", ")}`);
    assert.ok(codes.has("ModuleFailed"));
  });

  test("of the command line, in words and in JSON", async () => {
    const commands = [
      ["validate"],
      ["plan"],
      ["rotate", "--force"],
      ["status"],
      ["pause", "partner-api", "--until", "1h"],
      ["resume", "partner-api"],
      ["pull"],
      ["pull", "--service", "systemd"],
      ["login", "partner-api"],
    ];
    forgetOutputs();
    const run = async (name: string, ...argv: readonly string[]) => {
      const result = await command([name, "-c", file, ...argv], { environment, directory });
      keep("standard output and error of the command line", result.stdout, result.stderr);
      return result;
    };
    for (const [name = "", ...argv] of commands) {
      await run(name, ...argv);
      const { stdout, stderr } = await run(name, ...argv, "--json");
      if (name !== "login" && !argv.includes("--service")) {
        assert.doesNotThrow(() => JSON.parse(stdout), `${name}: ${stderr}`);
      }
    }
    for (const [, fault] of faults()) {
      const injected = services().map((service) => inject(service, fault, 3));
      for (const argv of [["status", "--json"], ["rotate", "--force"], ["pull"]]) {
        await command([...argv, "-c", file], { environment, directory, clock: impatientClock() }).then(
          ({ stdout, stderr }) => keep("standard output and error of the command line", stdout, stderr),
        );
      }
      remove(injected);
    }
    const seen = join(directory, "seen");
    const report = `require("fs").writeFileSync(${JSON.stringify(seen)}, JSON.stringify([process.argv, process.env]))`;
    assert.equal((await run("exec", "partner-api", "--", process.execPath, "-e", report)).exitCode, 0);
    // The identity's header is in the environment that `exec` was itself given.
    keep("arguments and environment under exec", withoutIdentityHeader(await readFile(seen, "utf8")));
    await rm(seen);
  });

  test("what is said arrives without secrets, and files hold them only where they are meant to", async () => {
    await host.stop();
    keep("telemetry items as they arrived", ...sample.ingestion.items.map((item) => JSON.stringify(item)));
    assert.ok(sample.ingestion.items.length > 0);
    for (const path of await filesBelow(directory)) {
      if (path.startsWith(`${paths.pulled}/`)) {
        assert.equal((await stat(join(directory, path))).mode & 0o777, 0o600, path);
      } else {
        keep(`files: ${path.split("/")[0]}`, path, await readFile(join(directory, path)));
      }
    }
    const pulled = await readdir(at("pulled"));
    assert.ok(pulled.length >= 3, pulled.join(", "));
  });

  test("what is built and published holds none, nor anything that looks like one", async () => {
    const { files } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { files: string[] };
    for (const folder of [...files, "README.md", "package.json"]) {
      for (const path of await filesBelow(join(root, folder))) {
        const content = await readFile(join(root, folder, path));
        keep(path.endsWith(".map") ? "source maps" : "the package's files", content);
        // A private key with its content, and a JWT with a signature.
        assert.doesNotMatch(
          content.toString("latin1"),
          /PRIVATE KEY-----(?:\\n|\s)+[A-Za-z0-9+/]{40}|eyJ[\w-]{10,}\.eyJ[\w-]{20,}\.[\w-]{40,}/,
          join(folder, path),
        );
      }
    }
  });

  test("and now, with every secret known, all of it is searched", (context) => {
    harvestVaults(azure, canaries);
    const leaks: Leak[] = [];
    for (const [place, contents] of places) {
      const bytes = contents.reduce((sum, content) => sum + Buffer.byteLength(content), 0);
      context.diagnostic(`${place}: ${bytes} bytes`);
      assert.ok(bytes > 0, `${place} is empty`);
      leaks.push(...contents.flatMap((content) => canaries.find(place, content)));
    }
    context.diagnostic(`${canaries.count} secrets, in 17 forms each`);
    assert.ok(canaries.count > 100);
    assert.deepEqual(leaks.slice(0, 20), []);
  });

  test("which would have found one", () => {
    const token = azure.vault.secrets.get("oracle-entraid-token").value.reveal();
    const line = JSON.stringify({ message: Buffer.from(`Bearer ${token}`).toString("base64") });
    assert.notDeepEqual(canaries.find("a planted line", line), []);
    const key = host.functionKey.reveal();
    assert.notDeepEqual(canaries.find("a planted URL", `https://example.org/api/tick?code=${key}`), []);
  });
});

/** The SDKs print that header of an answer as it is. No service of Azure puts a secret there. */
function withoutChallenge(fault: Fault): Fault {
  if (fault.kind !== "answer") {
    return fault;
  }
  const { "www-authenticate": _, ...headers } = fault.headers ?? {};
  return { ...fault, headers };
}

/** The services that have been called at least once. */
function services(): string[] {
  return [...new Set(Object.keys(azure.requests.counts).map((operation) => operation.split(".")[0] ?? ""))];
}

function inject(service: string, fault: Fault, times?: number): InjectedFault {
  return azure.faults.inject({
    ...fault,
    operation: `${service}.*`,
    ...(times === undefined ? {} : { times }),
  });
}

function remove(injected: readonly InjectedFault[]): void {
  for (const each of injected) {
    each.remove();
  }
}

function stacks(report: { rotations: readonly { readonly error?: Error }[] }): string[] {
  return report.rotations.flatMap(({ error }) =>
    error === undefined ? [] : [String(error), error.stack ?? "", String((error.cause as Error)?.stack)],
  );
}

/** Every function over HTTP: with the key and without, by header and by query, as a browser and as a program. */
async function callEndpoints(): Promise<void> {
  const key = host.functionKey.reveal();
  for (const { route, methods = [] } of host.functions) {
    for (const method of route === undefined ? [] : methods) {
      for (const name of [rotations[0] ?? "", "talkative", "no-such-rotation"]) {
        const url = `${host.url}${route?.replace("{name}", name)}`;
        const callers: [string, Record<string, string>][] = [
          [url, {}],
          [`${url}?code=${key}`, {}],
          [url, { "x-functions-key": key, "content-type": "application/json" }],
          [url, { "x-functions-key": key, origin: "https://evil.example.org" }],
        ];
        for (const [address, headers] of callers) {
          const body = method === "POST" ? '{"force":true}' : "";
          keep("answers over HTTP", ...(await ask(address, { method, headers, body })));
        }
      }
    }
  }
}

/** Headers and body of the answer. Each on a connection of its own: one that is kept may be closed while it is taken up. */
function ask(
  address: string,
  { body, ...options }: { method: string; headers: Record<string, string>; body: string },
): Promise<[string, string]> {
  return new Promise((resolve, reject) => {
    const sent = request(address, { ...options, agent: false }, (response) => {
      text(response).then((answer) => resolve([response.rawHeaders.join("\n"), answer]), reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Arguments and environment of the processes that this one has started. */
async function keepProcesses(): Promise<void> {
  const ids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const id of ids) {
    const status = await readFile(`/proc/${id}/status`, "utf8").catch(() => "");
    if (new RegExp(`^PPid:\\s+${process.pid}$`, "m").test(status)) {
      const [args, variables] = await Promise.all(
        ["cmdline", "environ"].map((name) => readFile(`/proc/${id}/${name}`, "utf8")),
      );
      keep("arguments and environment of processes", args ?? "", withoutIdentityHeader(variables ?? ""));
    }
  }
}

/** The platform itself puts that one there. */
function withoutIdentityHeader(text: string): string {
  return text.replaceAll(azure.identity.header, "");
}

async function filesBelow(path: string): Promise<string[]> {
  if ((await stat(path)).isFile()) {
    return [""];
  }
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(path, join(entry.parentPath, entry.name)));
}
