import assert from "node:assert/strict";
import { test } from "node:test";
import { shortHash, shortHashOfList } from "../../src/config/canonical.ts";

for (const list of [[], [1], [{ b: 1, a: [null, "x"] }, ["y", undefined]], ["a,b"], ["a", "b"]]) {
  test(`a list hashed entry by entry is hashed as a whole: ${JSON.stringify(list)}`, () => {
    assert.equal(shortHashOfList(list, 64), shortHash(list, 64));
  });
}
