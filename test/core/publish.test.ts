import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { anOutput, aRotation, aSource, aToken, epoch, hours, minutes, ourVersion } from "../builders.ts";
import { TestEngine } from "../fakes/engine.ts";

/*
 * A source may hand out a new token each time it is asked, and all of them end at one moment: a session that cannot be
 * extended, or two ticks within a second.
 */

const end = new Date(epoch + 8 * hours);
const outputs = ["first", "second"].map((secret) => anOutput({ secret }));

class World {
  readonly engine = new TestEngine();
  #minted = 2;
  readonly rotation = aRotation({
    outputs,
    sources: [
      aSource(async () => {
        this.#minted += 1;
        return aToken({
          text: `token-${this.#minted}`,
          issuedOn: new Date(this.engine.clock.now()),
          expiresOn: end,
        });
      }),
    ],
  });

  /** Puts there what an earlier tick has written so many minutes ago. */
  seed(name: string, text: string, ago: number): void {
    const token = aToken({ text, issuedOn: new Date(epoch - ago * minutes), expiresOn: end });
    this.engine.store.seed(name, { value: token.value, properties: ourVersion({ name, token }) });
  }

  get held(): (string | undefined)[] {
    return outputs.map(({ secret }) => this.engine.store.versions(secret)[0]?.value.reveal());
  }

  versions(name: string): number {
    return this.engine.store.versions(name).length;
  }

  async tick() {
    const { rotations } = await this.engine.tick([this.rotation]);
    await this.engine.clock.advance(5 * minutes);
    return rotations[0];
  }
}

describe("two outputs of one rotation, where a new token ends when the old one does", () => {
  test("agree after a crash between the two writes", async () => {
    const world = new World();
    world.seed("first", "token-1", 1);
    assert.equal((await world.tick())?.reason, "SecretMissing");
    assert.deepEqual(world.held, ["token-3", "token-3"]);
    assert.equal((await world.tick())?.outcome, "Fresh");
  });

  test("agree again after they have come to hold two tokens", async () => {
    const world = new World();
    world.seed("first", "token-1", 2);
    world.seed("second", "token-2", 1);
    assert.equal((await world.tick())?.reason, "OutputsDiverged");
    assert.deepEqual(world.held, ["token-3", "token-3"]);
    assert.equal((await world.tick())?.outcome, "Fresh");
    assert.deepEqual([world.versions("first"), world.versions("second")], [2, 2]);
  });

  for (const { broken, other, extra } of [
    { broken: "first", other: "second", extra: 0 },
    { broken: "second", other: "first", extra: 1 },
  ]) {
    test(`cost no version on every tick while the ${broken} cannot be written`, async () => {
      const world = new World();
      world.seed("first", "token-1", 2);
      world.seed("second", "token-2", 1);
      const refused = Object.assign(new Error("refused"), { code: "VaultForbidden" });
      world.engine.store.fail = (call) => (call === `write:${broken}` ? refused : undefined);
      for (let count = 0; count < 5; count += 1) {
        assert.equal((await world.tick())?.outcome, "Failed");
      }
      assert.deepEqual([world.versions(broken), world.versions(other)], [1, 1 + extra]);
    });
  }

  test("are left alone while they agree", async () => {
    const world = new World();
    world.seed("first", "token-1", 1);
    world.seed("second", "token-1", 1);
    await world.engine.tick([world.rotation], { force: true });
    assert.deepEqual(world.held, ["token-1", "token-1"]);
  });
});
