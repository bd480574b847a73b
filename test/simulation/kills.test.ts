import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kill } from "../../src/simulation/instance.ts";
import { Simulation } from "../../src/simulation/simulation.ts";
import { configurationOf, furnished } from "./scenario.ts";

const minutes = 60_000;

/** A tick in which everything is due, killed there; then one that is not. */
async function killedAt(kill: Kill): Promise<{ readonly simulation: Simulation; readonly killed: boolean }> {
  const simulation = new Simulation({
    configuration: configurationOf(
      ["pair", "one-time", "replaced", "reference", "fallback", "lakebase"],
      0,
      "5m",
    ),
    seed: "kills",
    durationMs: 0,
    sources: "real",
  });
  const { clock } = simulation.world;
  await furnished(simulation);
  await clock.run(simulation.tick());
  await clock.advance(45 * minutes);
  await clock.run(simulation.tick(undefined, kill));
  const killed = simulation.faults.injected.has(`killed ${kill.when} a call`);
  await clock.advance(5 * minutes);
  await clock.run(simulation.tick());
  await clock.advance(5 * minutes);
  return { simulation, killed };
}

for (const when of ["before", "after"] as const) {
  test(`a process that is killed ${when} any of its calls leaves nothing that the next tick does not heal`, async () => {
    let calls = 0;
    for (let killed = true; killed; ) {
      calls += 1;
      const run = await killedAt({ call: calls, when });
      assert.deepEqual(run.simulation.observer.violations, [], `call ${calls}`);
      killed = run.killed;
      const { world } = run.simulation;
      for (const [url, secret] of [
        ["https://kv-one.vault.azure.net", "pair-raw"],
        ["https://kv-two.vault.azure.net", "pair-json"],
        ["https://kv-one.vault.azure.net", "replaced-token"],
        ["https://kv-one.vault.azure.net", "replaced-json"],
      ] as const) {
        // At most one more than without the kill: for an output that was written before its sibling was.
        const { length } = world.vault(url).secrets.versions(secret);
        assert.ok(length === 2 || (killed && length === 3), `call ${calls}: ${length} versions of ${secret}`);
      }
    }
    assert.ok(calls > 50, `the tick made only ${calls} calls`);
  });
}
