import assert from "node:assert/strict";
import { test } from "node:test";
import { Instance } from "../../src/simulation/instance.ts";
import { Random } from "../../src/simulation/random.ts";
import { World } from "../../src/simulation/world.ts";

test("a sign-in is newer than a refresh token that was under way when it came", () => {
  const world = new World({
    startAt: 0,
    random: new Random("provider"),
    latencyMs: 0,
    noise: 0,
    promisesOnly: true,
  });
  const provider = world.provider("strict.example.com", { lifetimeMs: 60_000, refreshTokens: "oneTime" });
  const first = provider.signIn();
  const instance = new Instance(world, 0);
  const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: first });
  const taken = provider.take("/token", form, instance);
  const second = provider.signIn();
  taken.delivered();
  assert.equal(provider.newest?.text, second);

  form.set("refresh_token", second);
  provider.take("/token", form, instance).delivered();
  assert.equal(provider.newest?.holder, instance);
});
