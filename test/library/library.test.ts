import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startEmbeddedAzure } from "../../src/local/azure.ts";
import { takeIdentity } from "../processIdentity.ts";
import { renew } from "./example.ts";

test("the example in the documentation is the one that is run here", async () => {
  const example = await readFile(new URL("example.ts", import.meta.url), "utf8");
  const page = await readFile(new URL("../../docs/library.md", import.meta.url), "utf8");
  assert.ok(page.includes(example.replace("../../src/index.ts", "keyvault-token-rotator").trim()));
});

test("the example renews what is due, and tells what failed", async () => {
  await using azure = await startEmbeddedAzure();
  using _trust = azure.trustInThisProcess();
  using _identity = takeIdentity(azure.environment);
  const directory = await mkdtemp(join(tmpdir(), "library-"));
  const file = join(directory, "rotations.json");
  const outputOf = (secret: string) => [{ secret }];
  const rotations = {
    good: { source: { kind: "entra", scope: "https://redis.azure.com/.default" }, outputs: outputOf("good") },
    bad: {
      source: { kind: "entra", scope: "https://unknown.example.org/.default" },
      outputs: outputOf("bad"),
    },
  };
  await writeFile(file, JSON.stringify({ rotations }));
  const failed = await renew(file);
  await rm(directory, { recursive: true });
  assert.equal(azure.vault.secrets.versions("good").length, 1);
  assert.equal(failed.length, 1);
  assert.match(failed[0] ?? "", /^bad: mint ResourceUnknown: /);
});
