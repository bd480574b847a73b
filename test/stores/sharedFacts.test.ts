import assert from "node:assert/strict";
import { test } from "node:test";
import type { SecretProperties } from "../../src/ports.ts";
import { SharedFacts } from "../../src/stores/sharedFacts.ts";

const listed = (
  name: string,
  tags: Record<string, string>,
  issued = 1_700_000_000_000,
): SecretProperties => ({
  name,
  enabled: true,
  tags,
  expiresOn: new Date(issued + 3_600_000),
  createdOn: new Date(issued),
  contentType: "text/plain",
});

test("what is said of a secret stays as it was, absent fields and tags of others included", () => {
  const facts = new SharedFacts();
  for (const properties of [
    listed("a", { rotation: "a", owner: "somebody" }),
    { name: "b", enabled: false, tags: {} },
    { ...listed("c", { rotation: "c" }), version: "0123" },
    listed("d", { ["__proto__"]: "d", empty: "" }),
  ]) {
    assert.deepEqual(facts.in(properties), properties);
  }
});

test("equal dates are one date, and others are not", () => {
  const facts = new SharedFacts();
  const [a, b, later] = [listed("a", {}), listed("b", {}), listed("c", {}, 1_800_000_000_000)].map(
    (properties) => facts.in(properties),
  );
  assert.equal(a?.expiresOn, b?.expiresOn);
  assert.equal(a?.createdOn, b?.createdOn);
  assert.notEqual(a?.expiresOn, later?.expiresOn);
});
