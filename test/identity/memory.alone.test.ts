import assert from "node:assert/strict";
import { test } from "node:test";
import { queryObjects } from "node:v8";
import { chooseIdentity } from "../../src/identity.ts";
import { startEmbeddedAzure } from "../../src/local/azure.ts";

const scope = "https://vault.azure.net/.default";

test("a managed identity that has asked for many tokens holds no more than one that has asked for few", async () => {
  await using azure = await startEmbeddedAzure();
  Object.assign(process.env, azure.environment);
  const credential = await chooseIdentity(azure.environment).credential();
  const ask = async (times: number) => {
    for (let time = 0; time < times; time += 1) {
      await credential.getNewToken(scope);
    }
    // Collects garbage first.
    return queryObjects(AbortController, { format: "count" });
  };
  const few = await ask(10);
  const many = await ask(50);
  // Those of connections and timers come and go.
  assert.ok(many - few < 10, `${few} controllers, then ${many}`);
});
