import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { takeIdentity } from "../processIdentity.ts";
import { type CommandResult, command } from "./testIo.ts";

let azure: EmbeddedAzure;
let trust: Disposable;
let identity: Disposable;
let directory: string;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "manifests-"));
  azure.vault.secrets.set("there", "value");
  azure.vault.secrets.set("disabled", "value", { enabled: false });
});
after(async () => {
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
});
afterEach(() => {
  azure.vault.assignments = undefined;
  azure.requests.clear();
});

const kubernetes = {
  clientId: "11111111-1111-4111-8111-111111111111",
  tenantId: "22222222-2222-4222-8222-222222222222",
};

function rotation(secret: string): object {
  return { source: { kind: "entra", scope: "api://app/.default" }, outputs: [{ secret }], kubernetes };
}

async function run(rotations: object, ...argv: string[]): Promise<CommandResult> {
  await writeFile(join(directory, "rotations.json"), JSON.stringify({ rotations }));
  return await command(["manifests", ...argv], { environment: azure.environment, directory });
}

describe("manifests", () => {
  test("prints YAML documents for kubectl, and warnings beside them", async () => {
    const { exitCode, stdout, stderr } = await run({ app: rotation("there") });
    assert.equal(exitCode, 0);
    assert.equal(stderr, "");
    const kinds = parseAllDocuments(stdout).map((document) => document.get("kind"));
    assert.deepEqual(kinds, ["ServiceAccount", "SecretProviderClass", "Deployment"]);
  });

  test("warns of every secret that would keep pods waiting, above the class and on stderr", async () => {
    const { exitCode, stdout, stderr } = await run({
      missing: rotation("missing"),
      disabled: rotation("disabled"),
      there: rotation("there"),
    });
    assert.equal(exitCode, 0);
    for (const text of [stdout, stderr]) {
      assert.match(text, /missing does not exist yet: pods stay in ContainerCreating/);
      assert.match(text, /The current version of disabled is disabled/);
      assert.equal(text.match(/ContainerCreating/g)?.length, 2);
    }
    assert.equal(azure.requests.count("keyvault.getSecret"), 0, "no value is read");

    azure.vault.assignments = [];
    const blind = await run({ there: rotation("there") });
    assert.match(blind.stderr, /Whether there exists could not be found out \(VaultForbidden\)/);
  });

  test("--offline asks nobody", async () => {
    const { stderr } = await run({ missing: rotation("missing") }, "--offline");
    assert.equal(stderr, "");
    assert.deepEqual(azure.requests.counts, {});
  });

  test("--out writes a file for each rotation, and --json tells which", async () => {
    const { exitCode, stdout, stderr } = await run(
      { a: rotation("there"), b: rotation("there-too") },
      "--offline",
      "--out",
      "kubernetes/base",
      "--json",
    );
    assert.equal(exitCode, 0);
    const target = join(directory, "kubernetes", "base");
    assert.deepEqual((await readdir(target)).toSorted(), ["a.yaml", "b.yaml"]);
    assert.equal((await stat(join(target, "a.yaml"))).mode & 0o777, 0o644);
    assert.match(await readFile(join(target, "a.yaml"), "utf8"), /kind: SecretProviderClass/);
    assert.match(stderr, /a\.yaml written/);
    const rows = JSON.parse(stdout);
    assert.deepEqual(
      rows.map(({ rotation, file }: { rotation: string; file: string }) => [rotation, file]),
      [
        ["a", join(target, "a.yaml")],
        ["b", join(target, "b.yaml")],
      ],
    );
    assert.equal(rows[0].resources[1].kind, "SecretProviderClass");
    assert.match(
      (await run({ a: rotation("there") }, "--offline", "--out", "kubernetes/base")).stderr,
      /unchanged/,
    );
  });

  test("a rotation with a fault is left out, and named", async () => {
    const broken = { ...rotation("broken"), margin: "soon" };
    const { exitCode, stdout, stderr } = await run({ app: rotation("there"), broken });
    assert.equal(exitCode, 0);
    assert.match(stderr, /broken has a fault/);
    assert.doesNotMatch(stdout, /broken/);
    assert.equal((await run({ broken })).exitCode, 2);
  });

  test("--sidecar and --cronjob take the image that is named, and the configuration as it is", async () => {
    const app = { ...rotation("there"), files: [{ kind: "file", output: "there", path: "~/token" }] };
    const { stdout } = await run(
      { app },
      "--sidecar",
      "--cronjob",
      "--image",
      "example.org/rotator:2",
      "--json",
    );
    const resources = JSON.parse(stdout).flatMap(({ resources }: { resources: object[] }) => resources);
    assert.deepEqual(
      resources.map(({ kind }: { kind: string }) => kind),
      ["ServiceAccount", "ConfigMap", "CronJob", "ServiceAccount", "ConfigMap", "Deployment"],
    );
    const text = JSON.stringify(resources);
    assert.equal(text.match(/example\.org\/rotator:2/g)?.length, 3);
    const map = resources.find(({ kind }: { kind: string }) => kind === "ConfigMap");
    assert.equal(map.data["rotations.json"], await readFile(join(directory, "rotations.json"), "utf8"));
  });
});
