import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { checkClaims, type Expectations, subjectOf } from "../../src/checks/claims.ts";
import { RotatorError } from "../../src/errors.ts";
import { aToken, epoch, hours, minutes } from "../builders.ts";
import { unsignedJwt } from "../jwt.ts";
import { codePoint, fc } from "../properties.ts";

const tenant = "6b1c1b0e-0000-4000-8000-00000000aaaa";
const claims = {
  iss: `https://sts.windows.net/${tenant}/`,
  aud: "https://ossrdbms-aad.database.windows.net",
  tid: tenant,
  oid: "oid-of-the-identity",
  sub: "sub-of-the-identity",
  appid: "appid-of-the-identity",
  roles: ["Reader", "Writer"],
  ver: "1.0",
  nbf: epoch / 1000,
  exp: (epoch + hours) / 1000,
};

/** The code of the refusal, `undefined` for a token that passes. */
function refusal(changed: Readonly<Record<string, unknown>>, expected: Expectations = {}, now = epoch) {
  return refusalOf(aToken({ text: unsignedJwt({ ...claims, ...changed }) }), expected, now);
}

function refusalOf(token: ReturnType<typeof aToken>, expected: Expectations = {}, now = epoch) {
  try {
    checkClaims(token, expected, now);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof RotatorError);
    return error.code;
  }
}

test("each expectation passes for what it names and fails for the nearest other thing", () => {
  const table: readonly (readonly [Expectations, string | undefined])[] = [
    [{ issuer: claims.iss }, undefined],
    [{ issuer: claims.iss.slice(0, -1) }, "IssuerMismatch"],
    [{ audience: claims.aud }, undefined],
    [{ audience: ["other", claims.aud] }, undefined],
    [{ audience: `${claims.aud}/` }, "AudienceMismatch"],
    [{ audience: ["other", claims.aud.toUpperCase()] }, "AudienceMismatch"],
    [{ tenant }, undefined],
    [{ tenant: tenant.toUpperCase() }, undefined],
    [{ tenant: tenant.replace("aaaa", "aaab") }, "TenantMismatch"],
    [{ subject: claims.oid }, undefined],
    // The application that a user's token was made with is not whom it speaks for.
    [{ subject: claims.appid }, "SubjectUnexpected"],
    [{ subject: claims.sub }, "SubjectUnexpected"],
    [{ roles: ["Writer"] }, undefined],
    [{ roles: ["Writer", "Reader"] }, undefined],
    [{ roles: ["Writer", "Owner"] }, "RolesMissing"],
    [{ version: "1.0" }, undefined],
    [{ version: "2.0" }, "TokenVersionMismatch"],
  ];
  for (const [expected, code] of table) {
    assert.equal(refusal({}, expected), code, inspect(expected));
  }
});

test("a claim that is absent or of another type is not what was expected", () => {
  for (const value of [undefined, null, 7, {}, [], [[claims.aud]], ["other"]]) {
    assert.equal(refusal({ iss: value }, { issuer: claims.iss }), "IssuerMismatch");
    assert.equal(refusal({ aud: value }, { audience: claims.aud }), "AudienceMismatch");
    assert.equal(refusal({ tid: value }, { tenant }), "TenantMismatch");
    assert.equal(refusal({ roles: value }, { roles: ["Reader"] }), "RolesMissing");
    assert.equal(refusal({ ver: value }, { version: "1.0" }), "TokenVersionMismatch");
    assert.equal(
      refusal({ oid: value, sub: value, appid: value }, { subject: "someone" }),
      "SubjectUnexpected",
    );
  }
  assert.equal(refusal({ aud: [claims.aud, "other"] }, { audience: claims.aud }), undefined);
  assert.equal(refusal({ roles: "Reader" }, { roles: ["Reader"] }), undefined);
});

test("exp and nbf at their boundaries", () => {
  const exp = claims.exp * 1000;
  assert.equal(refusal({}, {}, exp - 1), undefined);
  assert.equal(refusal({}, {}, exp), "TokenExpired");
  const inFiveMinutes = (epoch + 5 * minutes) / 1000;
  assert.equal(refusal({ nbf: inFiveMinutes }), undefined);
  assert.equal(refusal({ nbf: inFiveMinutes + 1 }), "TokenNotYetValid");
  assert.equal(refusal({ nbf: "soon", exp: "later" }), undefined);
});

test("what the source says of the subject goes before what the token says", () => {
  const token = aToken({ text: unsignedJwt(claims), subject: "known-by-the-source" });
  assert.equal(refusalOf(token, { subject: "known-by-the-source" }), undefined);
  assert.equal(refusalOf(token, { subject: claims.oid }), "SubjectUnexpected");
  assert.equal(subjectOf(token), "known-by-the-source");
});

test("an opaque token passes until something is expected of its claims", () => {
  const opaque = aToken({ text: "opaque" });
  assert.equal(refusalOf(opaque), undefined);
  assert.equal(refusalOf(opaque, { audience: undefined }), undefined);
  assert.equal(refusalOf(opaque, { audience: "a" }), "ClaimsUnreadable");
  assert.equal(refusalOf(opaque, { subject: "a" }), "ClaimsUnreadable");
  const known = aToken({ text: "opaque", subject: "a" });
  assert.equal(refusalOf(known, { subject: "a" }), undefined);
  assert.equal(refusalOf(known, { subject: "b" }), "SubjectUnexpected");
  assert.equal(refusalOf(known, { subject: "a", version: "2.0" }), "ClaimsUnreadable");
});

test("a token with a scheme before it, or with anything else that no token has, is malformed", () => {
  for (const text of ["Bearer abc", " abc", "abc ", "a\tb", "äbc", ""]) {
    assert.equal(refusalOf(aToken({ text })), "TokenMalformed", text);
  }
});

test("the subject stays the same over versions, audiences and times, and differs between identities", () => {
  const of = (changed: Readonly<Record<string, unknown>>) =>
    subjectOf(aToken({ text: unsignedJwt({ ...claims, ...changed }) }));
  const first = of({});
  assert.equal(first, `${tenant}|oid-of-the-identity`);
  const version2 = {
    iss: `https://login.microsoftonline.com/${tenant}/v2.0`,
    ver: "2.0",
    aud: "x",
    sub: "y",
  };
  assert.equal(of({ ...version2, exp: 1, appid: undefined }), first);
  assert.notEqual(of({ oid: "another" }), first);
  assert.notEqual(of({ tid: "another" }), first);
  const elsewhere = { tid: undefined, oid: undefined };
  assert.equal(of({ ...elsewhere, iss: "https://example.org" }), "https://example.org|sub-of-the-identity");
  assert.equal(of({ ...elsewhere, iss: undefined, sub: undefined }), "|appid-of-the-identity");
  assert.equal(of({ ...elsewhere, sub: undefined, appid: undefined }), undefined);
  assert.equal(subjectOf(aToken({ text: "opaque" })), undefined);
});

const expectEverything: Expectations = {
  issuer: "i",
  audience: ["a"],
  tenant: "t",
  subject: "s",
  roles: ["r"],
  version: "2.0",
};

test("no text makes the checks fail in an unknown way", () => {
  const segment = fc.oneof(fc.base64String(), fc.string(), fc.json().map(base64url));
  const text = fc.oneof(
    fc.string({ unit: codePoint }),
    fc.tuple(segment, segment, segment).map((parts) => parts.join(".")),
  );
  fc.assert(
    fc.property(text, (text) => {
      for (const expected of [{}, expectEverything]) {
        const code = refusalOf(aToken({ text }), expected);
        assert.ok(code === undefined || /^[A-Z][A-Za-z]+$/.test(code));
      }
      subjectOf(aToken({ text }));
    }),
  );
});

test("hostile tokens are compared or called unreadable, and never end the process", () => {
  const header = base64url('{"alg":"none"}');
  const huge = unsignedJwt({ ...claims, filler: "x".repeat(2_000_000) });
  const many = unsignedJwt({ ...claims, roles: Array.from({ length: 100_000 }, (_, n) => `role-${n}`) });
  const nested = `${header}.${base64url(`{"aud":${"[".repeat(100_000)}${"]".repeat(100_000)}}`)}.`;
  const repeated = `${header}.${base64url('{"aud":"good","aud":"bad","__proto__":{"aud":"good"}}')}.`;
  assert.equal(refusalOf(aToken({ text: huge }), { audience: claims.aud }), undefined);
  assert.equal(refusalOf(aToken({ text: many }), { roles: ["role-99999"] }), undefined);
  assert.equal(refusalOf(aToken({ text: nested }), { audience: "a" }), "AudienceMismatch");
  // The last one counts, as it does for nearly every reader; a parent that the token brings does not.
  assert.equal(refusalOf(aToken({ text: repeated }), { audience: "good" }), "AudienceMismatch");
  const polluted = `${header}.${base64url('{"__proto__":{"aud":"good"}}')}.`;
  assert.equal(refusalOf(aToken({ text: polluted }), { audience: "good" }), "AudienceMismatch");
  for (const text of [
    "..",
    "a.b.c",
    `${header}..`,
    `${header}.e30`,
    `${header}.e30.a.b.c`,
    `${header}.bnVsbA.`,
  ]) {
    assert.equal(refusalOf(aToken({ text }), { audience: "a" }), "ClaimsUnreadable", text);
  }
});

test("the facts of a refusal are short, and hold nothing of the encoded token", () => {
  const text = unsignedJwt({ ...claims, aud: "x".repeat(5000), roles: ["y".repeat(5000)] });
  for (const expected of [{ audience: "a" }, { roles: ["Owner"] }]) {
    assert.throws(
      () => checkClaims(aToken({ text }), expected, epoch),
      (error: RotatorError) =>
        String(error.facts.actual).length <= 200 && !inspect(error).includes(text.split(".")[1] ?? ""),
    );
  }
});

function base64url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
