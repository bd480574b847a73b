import assert from "node:assert/strict";
import { test } from "node:test";
import { aToken, epoch } from "../builders.ts";
import { unsignedJwt } from "../jwt.ts";
import { codePoint, fc } from "../properties.ts";
import { complaints, formatOf, layOut } from "./layOut.ts";

test("raw is the token and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1, unit: "grapheme-ascii" }), async (text) => {
      assert.equal(await layOut({ format: "raw" }, aToken({ text })), text);
    }),
  );
});

for (const lineBreak of ["\n", "\r", "\u0085", "\0"]) {
  test(`raw, pgpass, postgres-uri and dotenv refuse a token with ${JSON.stringify(lineBreak)} in it`, async () => {
    const token = aToken({ text: `one${lineBreak}two` });
    const server = { host: "db.example.org", database: "app", user: "app" };
    for (const format of [
      await formatOf({ format: "raw" }),
      await formatOf({ format: "pgpass", ...server }),
      await formatOf({ format: "postgres-uri", ...server }),
      await formatOf({ format: "dotenv", variables: { TOKEN: "{{ token }}" } }),
    ]) {
      assert.throws(() => format.render(token), { code: "FormatMultiline" });
    }
  });
}

test("json holds the stated fields in their order", async () => {
  const claims = { sub: "someone", exp: 1_767_229_200, roles: ["Reader"], "https://example.org/team": "a" };
  const text = await layOut(
    {
      format: "json",
      fields: {
        password: "token",
        until: "expiresOn",
        expires_at: "expiresAt",
        from: "issuedOn",
        roles: "claims.roles",
        team: "claims.https://example.org/team",
        key: "attributes.fingerprint",
        user: { value: "app" },
        port: { value: 5432 },
        nothing: { value: null },
      },
    },
    aToken({ text: unsignedJwt(claims), attributes: { fingerprint: "aa:bb" } }),
  );
  assert.deepEqual(JSON.parse(text), {
    password: unsignedJwt(claims),
    until: "2026-01-01T01:00:00.000Z",
    expires_at: 1_767_229_200,
    from: "2026-01-01T00:00:00.000Z",
    roles: ["Reader"],
    team: "a",
    key: "aa:bb",
    user: "app",
    port: 5432,
    nothing: null,
  });
  assert.deepEqual(Object.keys(JSON.parse(text)).slice(0, 2), ["password", "until"]);
  assert.doesNotMatch(text, /\n/);
});

test("json survives every token and every name of a field", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 1, unit: codePoint }),
      fc.string({ minLength: 1 }).filter((name) => name !== "__proto__"),
      async (text, name) => {
        const laidOut = await layOut({ format: "json", fields: { [name]: "token" } }, aToken({ text }));
        assert.deepEqual(JSON.parse(laidOut), { [name]: text });
      },
    ),
  );
});

test("expiresAt is whole seconds and never later than the expiry", async () => {
  const token = aToken({ expiresOn: new Date(epoch + 1999) });
  const text = await layOut({ format: "json", fields: { at: "expiresAt" } }, token);
  assert.deepEqual(JSON.parse(text), { at: epoch / 1000 + 1 });
});

test("json names the part that a token does not have", async () => {
  for (const [field, text] of [
    ["claims.nope", unsignedJwt({ sub: "someone" })],
    ["claims.toString", unsignedJwt({ sub: "someone" })],
    ["claims.sub", "an-opaque-token"],
    ["attributes.fingerprint", "an-opaque-token"],
    ["attributes.constructor", "an-opaque-token"],
  ] as const) {
    const format = await formatOf({ format: "json", fields: { x: field } });
    assert.throws(() => format.render(aToken({ text, attributes: {} })), {
      code: "FormatFieldMissing",
      facts: { field },
    });
  }
});

test("json takes only parts that a token can have", () => {
  assert.deepEqual(complaints({ format: "json", fields: { a: "tokne" } }), ["fields.a"]);
  assert.deepEqual(complaints({ format: "json", fields: { a: "companions.privateKey" } }), ["fields.a"]);
  assert.deepEqual(complaints({ format: "json", fields: {} }), ["fields"]);
});
