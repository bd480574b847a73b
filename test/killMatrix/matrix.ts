import assert from "node:assert/strict";
import { allIsWell } from "./end.ts";
import { microsoftSecret, strictSecret } from "./surroundings.ts";
import type { Counts, Kill, World } from "./world.ts";

/*
 * For every call that a tick makes, a process that is killed before the call takes effect, and one that is killed after it
 * did and before the answer. Then the next tick, and what it leaves must be what is left where nobody is killed. The calls
 * are read off the request log of a tick that nobody disturbs, so that a call that is new is covered by itself.
 */

export interface MatrixReport {
  readonly calls: readonly string[];
  readonly cells: number;
  /** Cells after which somebody had to sign in: a refresh token was lost that the provider takes once. */
  readonly signIns: readonly string[];
  /** How many cells wrote one version more of a secret, by secret. */
  readonly repeated: Readonly<Record<string, number>>;
}

/** @param worlds Cells run side by side, one in each. */
export async function runMatrix(worlds: readonly World[]): Promise<MatrixReport> {
  const [world] = worlds;
  assert.ok(world);
  const undisturbed = await undisturbedRun(world);
  const cells = undisturbed.calls.flatMap((call): Kill[] => [
    { call, when: "before" },
    { call, when: "after" },
  ]);
  const signIns: string[] = [];
  const repeated: Record<string, number> = {};
  const failures: Error[] = [];
  const queue = cells.values();
  await Promise.all(
    worlds.map(async (each) => {
      for (const cell of queue) {
        const name = `${cell.when} ${cell.call}`;
        try {
          const { counts, signedIn } = await killedRun(each, cell);
          if (signedIn) {
            signIns.push(name);
          }
          for (const what of extras(counts, undisturbed.counts)) {
            repeated[what] = (repeated[what] ?? 0) + 1;
          }
        } catch (cause) {
          failures.push(new Error(`killed ${name}`, { cause }));
        }
      }
    }),
  );
  if (failures.length > 0) {
    throw new AggregateError(failures, `${failures.length} of ${cells.length} cells`);
  }
  return { calls: undisturbed.calls, cells: cells.length, signIns, repeated };
}

interface Undisturbed {
  readonly calls: readonly string[];
  readonly counts: Counts;
}

async function undisturbedRun(world: World): Promise<Undisturbed> {
  await world.reset();
  const first = await world.tick();
  assert.equal(first.exitCode, 0, first.output);
  const { counts } = world;
  world.passMinute();
  const second = await world.tick();
  assert.equal(second.exitCode, 0, second.output);
  assert.deepEqual(world.counts, counts, "nothing was left to do");
  assert.deepEqual(await world.end(), allIsWell);
  return { calls: first.calls, counts };
}

async function killedRun(world: World, cell: Kill): Promise<{ counts: Counts; signedIn: boolean }> {
  await world.reset();
  const killed = await world.tick(cell);
  assert.ok(killed.killed, `the call was not made; the tick ended with ${killed.exitCode}: ${killed.output}`);
  const { isLost } = world;
  world.passMinute();
  let next = await world.tick();
  const { counts } = world;
  if (isLost) {
    assert.equal(next.exitCode, 1);
    assert.equal(world.refusal, "RefreshTokenRefused");
    await world.signIn();
    next = await world.tick();
  }
  assert.equal(next.exitCode, 0, next.output);
  assert.deepEqual(await world.end(), allIsWell);
  return { counts, signedIn: isLost };
}

/**
 * What happened once more. A version is written again where a process dies between what belongs together: two outputs of
 * one token, or a refresh token and the token that came with it. Nothing else may happen again.
 */
function extras(counts: Counts, undisturbed: Counts): string[] {
  return Object.entries(counts).flatMap(([what, count]) => {
    const expected = undisturbed[what] ?? 0;
    assert.ok(count <= expected + (mayRepeat.has(what) ? 1 : 0), `${what}: ${count} instead of ${expected}`);
    return count > expected ? [what] : [];
  });
}

const mayRepeat: ReadonlySet<string> = new Set([strictSecret, microsoftSecret, "oci-token", "oci-key"]);
