import { after, before, describe, it } from "node:test";
import { neverSpentTwice, Racetrack } from "../leases/racetrack.ts";

let track: Racetrack;
before(async () => {
  track = await Racetrack.start();
});
after(() => track[Symbol.asyncDispose]());

describe("two processes over one refresh token", () => {
  it("never spend it twice, however often they race", async (context) => {
    context.diagnostic(await neverSpentTwice(track, 1_000));
  });
});
