import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { unzipSync } from "fflate";
import { packageApp } from "../../scripts/package.ts";
import { startFunctionsHost } from "../../src/local/functionsHost/functionsHost.ts";

describe("the package that is deployed", () => {
  let directory: string;
  let zip: Uint8Array;
  let files: Record<string, Uint8Array>;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "package-"));
    const rotations = join(directory, "some-rotations.json");
    await writeFile(rotations, '{ "rotations": {} }');
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
      "dist/functions/health.js",
      "dist/functions/health.js.map",
      "dist/functions/tick.js",
      "dist/functions/tick.js.map",
      "host.json",
      "package.json",
      "rotations.json",
    ]);
    assert.equal(text("rotations.json"), '{ "rotations": {} }');
    const { main, type, dependencies } = JSON.parse(text("package.json"));
    assert.deepEqual(
      { main, type, dependencies },
      {
        main: "dist/functions/*.js",
        type: "module",
        dependencies: undefined,
      },
    );
    assert.match(
      text("dist/functions/THIRD-PARTY-NOTICES.txt"),
      /^@azure\/functions .*Permission is hereby granted/ms,
    );
  });

  it("loads the Azure SDK only when it is needed: no entry imports a large chunk", () => {
    const seen = new Set<string>();
    const follow = (file: string) => {
      seen.add(file);
      for (const [, target] of text(file).matchAll(/(?:\bfrom|\bimport)\s*"(\.[^"]+)"/g)) {
        const next = join(dirname(file), target ?? "").replaceAll("\\", "/");
        if (!seen.has(next)) {
          follow(next);
        }
      }
    };
    follow("dist/functions/tick.js");
    const bytes = [...seen].reduce((sum, file) => sum + (files[file]?.length ?? 0), 0);
    assert.ok(seen.size > 1);
    assert.ok(bytes < 600_000, `${bytes} bytes in ${[...seen].join(", ")}`);
  });

  it("is equal, byte for byte, wherever it is made from equal sources", async () => {
    const again = await packageApp(
      join(directory, "elsewhere", "build"),
      join(directory, "some-rotations.json"),
    );
    assert.deepEqual(await readFile(again.zip), Buffer.from(zip));
  });

  it("runs where there is nothing else", async () => {
    const packageDirectory = join(directory, "unpacked");
    for (const [file, content] of Object.entries(files)) {
      await mkdir(dirname(join(packageDirectory, file)), { recursive: true });
      await writeFile(join(packageDirectory, file), content);
    }
    await using host = await startFunctionsHost({
      packageDirectory,
      stateDirectory: join(directory, "state"),
      environment: { ROTATION_SCHEDULE: "0 */5 * * * *" },
    });
    assert.deepEqual(host.functions, [
      { name: "health", trigger: "httpTrigger", route: "/api/health", methods: ["GET"] },
      { name: "tick", trigger: "timerTrigger", schedule: "0 */5 * * * *" },
    ]);
    const response = await fetch(`${host.url}/api/health`);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { alive: true });
  });
});
