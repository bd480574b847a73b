import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { startEmbeddedAzure } from "../../src/local/azure.ts";
import { startIngestion } from "../../src/local/ingestion.ts";

const program = `
import { createApplicationInsights } from ${JSON.stringify(import.meta.resolve("../../src/telemetry/applicationInsights.ts"))};
const sink = createApplicationInsights({
  environment: process.env,
  credential: () => Promise.reject(new Error("nobody is asked")),
  log: (level, line) => console.error(level, line),
  traceParent: () => undefined,
});
sink.event({ name: "VaultThrottled", properties: { vault: "v", count: 1 } }, "an-operation");
sink.metric({ name: "SecretVersions", value: 1, properties: { rotation: "r", output: "o", vault: "v" } });
await sink.flush(AbortSignal.timeout(10_000));
const listeners = ["uncaughtException", "unhandledRejection", "SIGTERM", "exit"].map((name) => process.listenerCount(name));
const { version, ...registered } = globalThis[Symbol.for("opentelemetry.js.api.1")] ?? {};
console.log(JSON.stringify({ listeners, registered: Object.keys(registered) }));
`;

test("nothing of it keeps a process alive, and nothing is registered with the process", async () => {
  const directory = await mkdtemp(join(tmpdir(), "telemetry-exit-"));
  const caCertificateFile = join(directory, "ca.pem");
  await using azure = await startEmbeddedAzure({ caCertificateFile });
  const ingestion = await startIngestion(azure, azure.issuer, { localAuthentication: true });
  // Ends by itself: the time-out kills it otherwise, and the promise rejects.
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "--eval", program],
    { env: { ...process.env, ...azure.environment, ...ingestion.environment }, timeout: 20_000 },
  );
  assert.equal(stderr, "");
  assert.deepEqual(JSON.parse(stdout), { listeners: [0, 0, 0, 0], registered: [] });
  assert.deepEqual(ingestion.counts, { events: 1, metrics: 1, others: 0 });
  await rm(directory, { recursive: true });
});
