import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRotator, type Rotator } from "../../src/index.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import type { Fault } from "../../src/local/faults.ts";
import { impatientClock } from "../impatientClock.ts";

/*
 * A rotation, by the real clients over TLS, that meets each fault at each call of its tick: once, which the tick gets over,
 * and for as long as it tries, which is told and made good by the next tick. Either way there is one version in the end.
 */

const minute = 60_000;
const faults: Readonly<Record<string, Fault>> = {
  "a slow answer": { kind: "latency", ms: 20 },
  "429 with Retry-After": { kind: "answer", status: 429, retryAfter: 1 },
  "a bare 429": { kind: "answer", status: 429 },
  "500": { kind: "answer", status: 500 },
  "503": { kind: "answer", status: 503 },
  "an answer that is no JSON": { kind: "answer", status: 502, body: "<html>Bad Gateway</html>" },
  "a connection that is cut": { kind: "reset" },
  "an answer that is lost after the effect": { kind: "lostResponse" },
  "504 after the effect": { kind: "lostResponse", status: 504 },
  "a clock that is ten minutes ahead": { kind: "clockSkew", ms: 10 * minute },
  "a clock that is ten minutes behind": { kind: "clockSkew", ms: -10 * minute },
};
/** What does not keep the tick from rotating, however long it lasts. */
function isOvercome(operation: string, name: string): boolean {
  switch (name) {
    case "a slow answer":
    case "a clock that is ten minutes ahead":
      return true;
    case "a clock that is ten minutes behind":
      // To such a vault the identity's token is not valid yet.
      return operation === "identity.token";
    case "an answer that is lost after the effect":
    case "504 after the effect":
      // Whether the write took effect is settled by looking for its operation.
      return operation === "keyvault.setSecret";
    default:
      return false;
  }
}

const operations = ["identity.token", "keyvault.listSecrets", "keyvault.setSecret"];

let azure: EmbeddedAzure;
let trust: Disposable;
let directory: string;

before(async () => {
  azure = await startEmbeddedAzure();
  trust = azure.trustInThisProcess();
  Object.assign(process.env, azure.environment);
  directory = await mkdtemp(join(tmpdir(), "faults-"));
});
after(async () => {
  trust[Symbol.dispose]();
  await azure.stop();
  await rm(directory, { recursive: true });
  assert.deepEqual(azure.requests.defects, []);
});

let rotators = 0;
/** A rotator for a secret and a resource that nobody has asked for, and a look at what became of it. */
async function aRotation(retryBudget: string) {
  rotators += 1;
  const secret = `token-${rotators}`;
  const resource = `https://api-${rotators}.example.org`;
  azure.issuer.register({ identifier: resource });
  const app = { source: { kind: "entra", scope: `${resource}/.default` }, outputs: [{ secret }] };
  const file = join(directory, `${secret}.json`);
  await writeFile(file, JSON.stringify({ retryBudget, rotations: { app } }));
  const rotator = await createRotator({ file, clock: impatientClock() });
  return {
    tick: () => outcomeOf(rotator),
    versions: () => azure.vault.secrets.list().find(({ name }) => name === secret)?.versions.length ?? 0,
  };
}

async function outcomeOf(rotator: Rotator) {
  const [result] = (await rotator.tick()).rotations;
  assert.ok(result !== undefined);
  return result;
}

for (const operation of operations) {
  describe(`at ${operation}`, () => {
    for (const [name, fault] of Object.entries(faults)) {
      test(`${name}, once: the tick gets over it`, async () => {
        const rotation = await aRotation("30s");
        const injected = azure.faults.inject({ ...fault, operation, times: 1 });
        const { outcome, error } = await rotation.tick();
        injected.remove();
        assert.equal(outcome, "Rotated", error?.code);
        assert.equal(injected.applied, 1);
        assert.equal(rotation.versions(), 1);
      });

      test(`${name}, throughout: it is told, and the next tick makes it good`, async () => {
        const rotation = await aRotation("3s");
        const injected = azure.faults.inject({ ...fault, operation });
        const { outcome, error } = await rotation.tick();
        injected.remove();
        assert.ok(injected.applied > 0);
        if (isOvercome(operation, name)) {
          assert.equal(outcome, "Rotated", error?.code);
        } else {
          assert.equal(outcome, "Failed");
          assert.match(error?.code ?? "", /^(?:Vault|Identity)/);
          assert.equal((await rotation.tick()).outcome, "Rotated");
        }
        assert.equal(rotation.versions(), 1);
      });
    }
  });
}
