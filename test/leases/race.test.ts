import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { neverSpentTwice, Racetrack } from "./racetrack.ts";

let track: Racetrack;
before(async () => {
  track = await Racetrack.start();
});
after(() => track[Symbol.asyncDispose]());

describe("two processes over one refresh token", () => {
  it("never spend it twice", async (context) => {
    context.diagnostic(await neverSpentTwice(track, 50));
  });

  it("spend it twice, and lose it, where they share no container for leases", async () => {
    await track.line("of each");
    const { faults, requests } = track.azure;
    const [first, second] = [1, 2].map(() => faults.hold({ operation: "oauth.token", times: 1 }));
    const stored = faults.hold({ operation: "keyvault.setSecret", times: 1 });
    const racing = track.start();
    await Promise.all([first?.arrived(), second?.arrived()]);
    // One after the other: of two at the same moment the provider would not notice.
    first?.release();
    await stored.arrived();
    second?.release();
    // Had the first one stored the token that it was given, the second would see that it came too late.
    assert.equal(await Promise.race(racing), "SignInRequired");
    stored.release();
    assert.deepEqual((await Promise.all(racing)).toSorted(), ["SignInRequired", "spent"]);
    assert.equal(requests.count("oauth.token"), 2);
    assert.deepEqual(await track.race(), ["SignInRequired", "SignInRequired"]);
  });
});
