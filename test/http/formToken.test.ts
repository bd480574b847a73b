import assert from "node:assert/strict";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { test } from "node:test";
import functions from "@azure/functions";
import { formToken, requireFormToken } from "../../src/http/formToken.ts";

const url = "https://rotator.example.org/api/rotations/app/rotate";

function requestWith(cookie: string | undefined) {
  const headers: Record<string, string> = cookie === undefined ? {} : { cookie };
  return new functions.HttpRequest({ url, method: "POST", headers });
}

const { value, cookie } = formToken(requestWith(undefined));
const ours = requestWith(`${cookie.name}=${value}`);
const formWith = (token: string) => new URLSearchParams({ token });

test("a form that brings the browser's own token back is taken", () => {
  requireFormToken(ours, formWith(value));
  assert.equal(formToken(ours).value, value);
});

for (const [name, request, form] of [
  ["no cookie", requestWith(undefined), formWith(value)],
  ["no token in the form", ours, new URLSearchParams()],
  ["neither", requestWith(undefined), new URLSearchParams()],
  ["two empty ones", requestWith(`${cookie.name}=`), formWith("")],
  ["a token that is too short", ours, formWith(value.slice(1))],
  ["a token of another browser", ours, formWith("0".repeat(32))],
  ["a cookie that a page without TLS could have set", requestWith(`rotator-form=${value}`), formWith(value)],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(() => requireFormToken(request, form), { code: "FormInvalid" });
  });
}

test("how much of a token is right cannot be told by how long it takes: it is compared in constant time, whole", (t) => {
  const compared = t.mock.method(crypto, "timingSafeEqual");
  syncBuiltinESMExports();
  try {
    for (const right of [0, 1, 16, 31]) {
      const wrong = value[right] === "0" ? "1" : "0";
      const near = value.slice(0, right) + wrong + value.slice(right + 1);
      assert.throws(() => requireFormToken(ours, formWith(near)), { code: "FormInvalid" });
      const [a, b] = compared.mock.calls.at(-1)?.arguments ?? [];
      assert.deepEqual([String(a), String(b)], [value, near]);
    }
    assert.equal(compared.mock.callCount(), 4);
  } finally {
    compared.mock.restore();
    syncBuiltinESMExports();
  }
});
