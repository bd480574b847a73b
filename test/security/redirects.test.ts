import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRotator } from "../../src/index.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type Sample, startSample } from "../../src/local/sample.ts";
import type { Call, Route } from "../../src/local/service.ts";
import { impatientClock } from "../impatientClock.ts";
import { takeIdentity } from "../processIdentity.ts";

let azure: EmbeddedAzure;
let sample: Sample;
let directory: string;
let trust: Disposable;
let identity: Disposable;
let thief: string;
/** What came to the address that redirects lead to. */
const stolen: string[] = [];

before(async () => {
  azure = await startEmbeddedAzure({ clock: impatientClock() });
  sample = await startSample(azure);
  trust = azure.trustInThisProcess();
  identity = takeIdentity(azure.environment);
  directory = await mkdtemp(join(tmpdir(), "redirects-"));
  const configuration = { ...sample.configuration, retryBudget: "4s" };
  // A probe logs in to a database, which takes seconds to start and knows no redirects.
  const withoutProbes = (key: string, value: unknown) => (key === "probe" ? undefined : value);
  await writeFile(join(directory, "rotations.json"), JSON.stringify(configuration, withoutProbes));
  const take = (call: Call) => {
    stolen.push(`${call.method} ${call.path} ${call.headers.authorization ?? ""} ${call.body}`);
    return { status: 200, body: {} };
  };
  thief = await azure.serve({
    name: "thief",
    routes: (["GET", "POST", "PUT", "PATCH"] as const).map(
      (method): Route => ({ operation: "take", method, path: "/stolen", handle: take }),
    ),
  });
});

after(async () => {
  await sample.stop();
  identity[Symbol.dispose]();
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
});

describe("no redirect is followed, so no token and no secret goes with one", () => {
  for (const [operation, rotation] of [
    // First, while no token is kept in memory.
    ["identity.*", "oracle-adb"],
    ["keyvault.*", "oracle-adb"],
    ["keyvault.setSecret", "oracle-adb"],
    ["containerApps.*", "postgres-mcp"],
    ["containerApps.update", "postgres-mcp"],
    ["partner.*", "partner-api"],
    ["partner.token", "partner-api"],
    ["databricks.*", "lakebase"],
    ["databricks.generateDatabaseCredential", "lakebase"],
    ["microsoft.*", "onedrive"],
    ["microsoft.token", "onedrive"],
    ["oci.*", "oci-cli"],
    ["oci.token", "oci-cli"],
    ["blobs.*", "onedrive"],
  ] as const) {
    // On 307 a PUT or a POST keeps its method and its body; a GET goes on as it is on both.
    for (const status of [302, 307]) {
      test(`${status} to ${operation}`, async () => {
        for (const name of [
          "oracle-entraid-token",
          "postgres-mcp-uri",
          "lakebase-pgpass",
          "partner-api-env",
          "onedrive-auth-tokens",
          "oci-session-token",
        ]) {
          if (azure.vault.secrets.versions(name).length > 0) {
            azure.vault.secrets.delete(name);
            azure.vault.secrets.purge(name);
          }
        }
        const rotator = await createRotator({
          file: join(directory, "rotations.json"),
          environment: { ...azure.environment, ...sample.environment },
          clock: azure.clock,
        });
        const redirect = azure.faults.inject({
          kind: "answer",
          operation,
          // A challenge comes before the call that carries the token.
          match: (call) => !call.operation.endsWith(".challenge"),
          status,
          headers: { location: `${thief}/stolen` },
        });
        await rotator.tick({ names: [rotation] });
        redirect.remove();
        assert.ok(redirect.applied > 0);
        assert.deepEqual(stolen, []);
      });
    }
  }

  test("and what follows one would be seen", async () => {
    await fetch(`${thief}/stolen`, { method: "POST", body: "a body" });
    assert.deepEqual(stolen, ["POST /stolen  a body"]);
  });
});
