import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { packageApp, zipFolder } from "../../scripts/package.ts";
import { startEmbeddedAzure } from "../../src/local/azure.ts";
import { startFunctionsHost } from "../../src/local/functionsHost/functionsHost.ts";
import { startIngestion } from "../../src/local/ingestion.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** With a module, as a fallback: it is part of what is deployed. */
const rotationsText = JSON.stringify({
  vault: "https://kv-example.vault.azure.net",
  rotations: { own: { source: [{ kind: "entra" }, { kind: "module", path: "sources/own.mjs" }] } },
});

describe("the package that is deployed", () => {
  let directory: string;
  let zip: Uint8Array;
  let files: Record<string, Uint8Array>;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "package-"));
    const rotations = join(directory, "some-rotations.json");
    await writeFile(rotations, rotationsText);
    await mkdir(join(directory, "sources"));
    await writeFile(join(directory, "sources/own.mjs"), "export const mint = () => {};\n");
    const made = await packageApp(join(directory, "build"), rotations);
    zip = await readFile(made.zip);
    files = unzipSync(zip);
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const text = (file: string) => new TextDecoder().decode(files[file]);

  it("holds the bundle, what the runtime reads and the rotations, and nothing else", () => {
    const outside = Object.keys(files).filter((file) => !file.startsWith("dist/functions/chunks/"));
    assert.deepEqual(outside, [
      "dist/functions/THIRD-PARTY-NOTICES.txt",
      "dist/functions/app.js",
      "host.json",
      "package.json",
      "rotations.checked.json",
      "rotations.json",
      "sources/own.mjs",
    ]);
    assert.equal(text("rotations.json"), rotationsText);
    assert.equal(text("sources/own.mjs"), "export const mint = () => {};\n");
    const { main, type, dependencies } = JSON.parse(text("package.json"));
    assert.deepEqual(
      { main, type, dependencies },
      {
        main: "dist/functions/app.js",
        type: "module",
        dependencies: undefined,
      },
    );
    assert.match(
      text("dist/functions/THIRD-PARTY-NOTICES.txt"),
      /^@azure\/functions .*Permission is hereby granted/ms,
    );
  });

  it("loads for a first tick one file with the Azure SDK in it, and nothing that is needed later or never", () => {
    const seen = new Set<string>();
    const follow = (file: string) => {
      seen.add(file);
      for (const [, target] of text(file).matchAll(/(?:\bfrom|\bimport)\s*["`](\.[^"`]+)["`]/g)) {
        const next = join(dirname(file), target ?? "").replaceAll("\\", "/");
        if (!seen.has(next)) {
          follow(next);
        }
      }
    };
    const firstTick = "dist/functions/chunks/tick.js";
    assert.match(text("dist/functions/app.js"), /import\("\.\/chunks\/tick\.js"\)/);
    follow(firstTick);
    assert.ok(seen.size <= 2, [...seen].join(", "));
    const bytes = [...seen].reduce((sum, file) => sum + (files[file]?.length ?? 0), 0);
    assert.ok(bytes < 1_200_000, `${bytes} bytes in ${[...seen].join(", ")}`);
    const sources: string[] = JSON.parse(text(`${firstTick}.map`)).sources;
    const packages = new Set(
      sources.flatMap((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []),
    );
    for (const needed of ["@azure/functions", "@azure/identity", "@azure/keyvault-secrets"]) {
      assert.ok(packages.has(needed), needed);
    }
    for (const later of [
      "zod",
      "applicationinsights",
      "@azure/storage-blob",
      "@azure/arm-appcontainers",
      "pg",
    ]) {
      assert.ok(!packages.has(later), later);
    }
  });

  it("is equal, byte for byte, wherever it is made from equal sources", async () => {
    // `npm run build` bundled the functions where they belong, before the tests.
    const built = await readdir(join(root, "dist/functions"), { recursive: true, withFileTypes: true });
    const names = built
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
    const inPackage = Object.keys(files).filter((file) => file.startsWith("dist/"));
    assert.deepEqual(names.sort(), inPackage.sort(), "dist is of other sources: npm run build");
    for (const file of inPackage) {
      assert.deepEqual(await readFile(join(root, file)), Buffer.from(files[file] ?? []), file);
    }
    const again = join(directory, "again.zip");
    await zipFolder(await unpack(), again);
    assert.deepEqual(await readFile(again), Buffer.from(zip));
  });

  /** The package where there is nothing else. */
  const unpack = async () => {
    const unpacked = await mkdtemp(join(directory, "unpacked-"));
    for (const [file, content] of Object.entries(files).reverse()) {
      await mkdir(dirname(join(unpacked, file)), { recursive: true });
      await writeFile(join(unpacked, file), content);
    }
    return unpacked;
  };

  it("runs where there is nothing else", async () => {
    await using host = await startFunctionsHost({
      packageDirectory: await unpack(),
      stateDirectory: join(directory, "state"),
      environment: { ROTATION_SCHEDULE: "0 */5 * * * *" },
    });
    const errors = host.functions.filter(({ error }) => error !== undefined);
    assert.deepEqual(errors, []);
    assert.deepEqual(
      host.functions.map(({ name, schedule, route }) => `${name} ${schedule ?? route}`),
      [
        "health /api/health",
        "metrics /api/metrics",
        "ready /api/ready/{name}",
        "rotate /api/rotations/{name}/rotate",
        "status /api/status",
        "tick 0 */5 * * * *",
        "ui /api/ui",
        "ui-page /api/ui/page",
        "tick-now /api/tick",
      ],
    );
    const response = await fetch(`${host.url}/api/health`);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { alive: true });
  });

  it("sends what a tick says to Application Insights, within the operation of its invocation", async () => {
    const caCertificateFile = join(directory, "ca.pem");
    await using azure = await startEmbeddedAzure({ caCertificateFile });
    const { AZURE_CLIENT_ID: clientId = "" } = azure.environment;
    const ingestion = await startIngestion(azure, azure.issuer, { clientId });
    const rotations = join(directory, "rotations-with-telemetry.json");
    const lines: string[] = [];
    await using host = await startFunctionsHost({
      packageDirectory: await unpack(),
      stateDirectory: join(directory, "state-with-telemetry"),
      environment: {
        ...azure.environment,
        ...ingestion.environment,
        ROTATIONS_FILE: rotations,
        ROTATION_SCHEDULE: "0 0 0 1 1 *",
        WEBSITE_SITE_NAME: "rotator-app",
      },
      onLog: ({ message }) => lines.push(message),
    });
    await host.invoke("tick");
    const source = { kind: "entra", scope: "https://database.windows.net/.default" };
    const orders = { source, outputs: [{ secret: "orders-token" }] };
    await writeFile(rotations, JSON.stringify({ rotations: { orders } }));
    await host.invoke("tick");

    const told = ingestion.events();
    assert.deepEqual(
      told.map(({ Name }) => Name),
      ["TickFailed", "RotationSucceeded", "TickCompleted"],
      lines.join("\n"),
    );
    for (const { AppRoleName, OperationId, ParentId } of told) {
      assert.equal(AppRoleName, "rotator-app");
      assert.match(OperationId ?? "", /^[0-9a-f]{32}$/);
      assert.match(ParentId ?? "", /^[0-9a-f]{16}$/);
    }
    assert.equal(new Set(told.map(({ OperationId }) => OperationId)).size, 2);
    assert.deepEqual(
      ingestion.metrics("SecretVersions").map(({ Max }) => Max),
      [1],
    );
    assert.deepEqual(azure.requests.defects, []);
  });

  it("leaves out what the telemetry package never calls here, and its questions to a server of its own", () => {
    const chunks = Object.keys(files).filter((file) => file.endsWith(".js"));
    assert.ok(chunks.some((file) => text(file).includes("AzureMonitorLogExporter")));
    assert.ok(!chunks.some((file) => text(file).includes("ConfigurationWorker")));
    assert.doesNotMatch(text("dist/functions/THIRD-PARTY-NOTICES.txt"), /^@grpc/m);
  });
});
