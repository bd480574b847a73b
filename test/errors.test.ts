import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { asRotatorError, problems, RotatorError } from "../src/errors.ts";

const table = problems({
  VaultForbidden: { message: "The vault refused.", remedy: "Grant the role.", retryable: false },
});
const canary = "canary-90ab";

test("a foreign cause keeps its name, code and status, and nothing that could be data", () => {
  const cause = Object.assign(new Error(`body: ${canary}`), {
    name: "RestError",
    code: "Forbidden",
    statusCode: 403,
    request: { headers: { authorization: canary } },
    response: { bodyAsText: canary },
  });
  const error = new RotatorError(table.VaultForbidden, {
    cause,
    facts: { vault: "https://kv.vault.azure.net" },
  });
  assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(canary));
  assert.match(inspect(error), /\[RestError\]: Forbidden, HTTP 403/);
  assert.equal(error.summary, "The vault refused. (vault=https://kv.vault.azure.net)");
});

test("a code that could be data is dropped", () => {
  const error = asRotatorError(
    Object.assign(new Error("x"), { code: `secret ${canary}`, name: `N ${canary}` }),
  );
  assert.equal(error.code, "Unexpected");
  assert.deepEqual(error.facts, { errorName: "Error" });
});

for (const [text, kept] of [
  ["ECONNRESET", true],
  ["UND_ERR_CONNECT_TIMEOUT", true],
  ["ERR_HTTP2_STREAM_ERROR", true],
  ["AADSTS700082", true],
  ["invalid_grant", true],
  // As random texts are: digits before letters.
  ["p4ssw0rd-of-somebody", false],
  ["hnOE7sqsqw4BpVof1L71lfGlzKvFiSi1", false],
  ["dapi0123456789abcdef0123456789abcdef", false],
  [`A${"a".repeat(64)}`, false],
] as const) {
  test(`${text} is ${kept ? "an error code" : "dropped, because it may be a secret"}`, () => {
    const error = asRotatorError(Object.assign(new Error("x"), { code: text }));
    assert.deepEqual(error.facts, { errorName: "Error", ...(kept ? { errorCode: text } : {}) });
  });
}

test("a fact cannot forge a line of log", () => {
  const error = new RotatorError(table.VaultForbidden, {
    facts: { secret: "a\r\n2026 INFO all is well\u001b[31m" },
  });
  assert.ok(!/\p{Cc}/u.test(error.summary));
});

test("a fact reads as it is: nothing turns its direction around, and nothing in it is invisible", () => {
  const hidden = ["\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\u009b31m"];
  const error = new RotatorError(table.VaultForbidden, { facts: { secret: `a${hidden.join("b")}c` } });
  assert.match(error.summary, /^[\x20-\x7e]+$/);
});

test("the stage that is set first stays", () => {
  const error = new RotatorError(table.VaultForbidden);
  assert.equal(asRotatorError(error, "gather").stage, "gather");
  assert.equal(asRotatorError(error, "publish").stage, "gather");
});

for (const thrown of [undefined, null, "text", 7, {}, Symbol("s")]) {
  test(`${String(thrown)}, thrown, becomes an Unexpected error`, () => {
    assert.equal(asRotatorError(thrown).code, "Unexpected");
  });
}
