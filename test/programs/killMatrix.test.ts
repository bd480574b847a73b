import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { buildFunctions } from "../../scripts/build.ts";
import { allIsWell } from "../killMatrix/end.ts";
import { runMatrix } from "../killMatrix/matrix.ts";
import { type Counts, World } from "../killMatrix/world.ts";

/** A tick mostly waits, so there may be more of them than cores. */
const sideBySide = 5;

let directory: string;
const worlds: World[] = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "kill-matrix-"));
  await buildFunctions(directory);
  const tick = join(directory, "app.js");
  // The first one compiles what the others find compiled.
  worlds.push(await World.start(tick));
  worlds.push(...(await Promise.all(Array.from({ length: sideBySide - 1 }, () => World.start(tick)))));
});
after(async () => {
  await Promise.all(worlds.map((world) => world[Symbol.asyncDispose]()));
  await rm(directory, { recursive: true });
});

describe("a tick that is killed at any call", () => {
  it("is made up for by the next one", async (context) => {
    const { calls, cells, signIns, repeated } = await runMatrix(worlds);
    context.diagnostic(
      `${calls.length} calls, ${cells} kills: ${cells - signIns.length} healed by the next tick`,
    );
    context.diagnostic(`a sign-in needed, and asked for, after ${signIns.length}: ${signIns.join("; ")}`);
    context.diagnostic(`one version more: ${JSON.stringify(repeated)}; one restart more: none`);
    assert.ok(calls.length >= 40, `only ${calls.length} calls`);
    // What no client of such a provider can help, so that this test would notice if it did not try.
    assert.ok(signIns.includes("after strict.token refresh_token"));
  });
});

describe("two deployments of one configuration that tick at once", () => {
  it("lose nothing, and come to the same end", async (context) => {
    const counts = (await Promise.all(worlds.map(tickTwice))).flat();
    const most = (what: string) => Math.max(...counts.map((count) => count[what] ?? 0));
    context.diagnostic(
      `${counts.length} times; restarts: ${most("restarts")} at most; key pairs: ${most("oci-key-pair")}`,
    );
    assert.ok(most("restarts") <= 2);
    assert.equal(most("oci-key-pair"), 1);
  });
});

async function tickTwice(world: World): Promise<Counts[]> {
  const counts: Counts[] = [];
  for (let round = 0; round < 3; round += 1) {
    await world.reset();
    for (const { exitCode, output } of await Promise.all([world.tick(), world.tick()])) {
      assert.equal(exitCode, 0, output);
    }
    counts.push(world.counts);
    const { exitCode, output } = await world.tick();
    assert.equal(exitCode, 0, output);
    assert.deepEqual(await world.end(), allIsWell);
  }
  return counts;
}
