import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { inspect } from "node:util";
import { RotatorError } from "../../src/errors.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken } from "../builders.ts";
import { unsignedJwt } from "../jwt.ts";
import { fc } from "../properties.ts";
import { complaints, formatOf, layOut } from "./layOut.ts";

const claims = { sub: "someone", exp: 1_767_229_200, roles: ["Reader", "Writer"] };
const text = unsignedJwt(claims, { alg: "RS256", kid: "key-1" });
const token = aToken({
  text,
  attributes: { fingerprint: "aa:bb" },
  companions: { privateKey: new SecretValue("a-key"), refreshToken: new SecretValue("unasked-for") },
});

function laidOut(template: string, of = token): Promise<string> {
  return layOut({ format: "template", template }, of);
}

test("everything that a template may name", async () => {
  const parts = {
    "{{ token }}": text,
    "{{ expiresOn }}": "2026-01-01T01:00:00.000Z",
    "{{ expiresAt }}": "1767229200",
    "{{ issuedOn }}": "2026-01-01T00:00:00.000Z",
    "{{ claims.sub }}": "someone",
    "{{ claims.exp }}": "1767229200",
    '{{ claims.roles | join: "," }}': "Reader,Writer",
    "{{ claims.roles[1] }}": "Writer",
    "{{ jwt.header.kid }}": "key-1",
    '{{ attributes["fingerprint"] }}': "aa:bb",
    "{{ companions.privateKey }}": "a-key",
    "{% if companions.clientSecret %}a{% else %}b{% endif %}": "b",
    '{{ claims.upn | default: "nobody" }}': "nobody",
    "{% if claims.upn %}a{% else %}b{% endif %}": "b",
    "{% raw %}{{ token }}{% endraw %}": "{{ token }}",
  };
  for (const [template, expected] of Object.entries(parts)) {
    assert.equal(await laidOut(template), expected, template);
  }
});

test("the escaping filters agree with the real parsers", async () => {
  const { parseLine } = createRequire(import.meta.url)("pgpass/lib/helper.js") as {
    parseLine(line: string): { password: string };
  };
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1, unit: "grapheme" }), async (text) => {
      const of = aToken({ text });
      const multiline = { format: "template", multiline: true } as const;
      const write = (template: string) => layOut({ ...multiline, template }, of);
      assert.equal(decodeURIComponent(await write("{{ token | urlencode }}")), text);
      assert.equal(
        new URL(await write("https://user:{{ token | urlencode }}@example.org/")).username,
        "user",
      );
      assert.deepEqual(JSON.parse(await write('{"a":{{ token | json }}}')), { a: text });
      assert.equal(Buffer.from(await write("{{ token | base64 }}"), "base64").toString(), text);
      assert.equal(parseLine(await write("h:5432:*:u:{{ token | pgpass }}")).password, text);
    }),
  );
});

test("a value that looks like a template is printed as it is", async () => {
  for (const text of ["{{ companions.privateKey }}", "{% include '/etc/passwd' %}", "{{", "%}"]) {
    assert.equal(await laidOut("<{{ token }}>", { ...token, value: new SecretValue(text) }), `<${text}>`);
  }
});

test("what a template may not do is refused before anything runs", async () => {
  for (const template of [
    "{{ tokne }}",
    "{{ claims }}",
    "{{ jwt }}",
    "{{ jwt.header }}",
    "{{ jwt.payload.sub }}",
    "{{ companions }}",
    "{{ claims[token] }}",
    "{{ claims[claims.sub] }}",
    "{% if claims[token] %}{% endif %}",
    "{{ process.env.HOME }}",
    "{{ token | nope }}",
    "{{ token | constructor }}",
    "{{ token | __proto__ }}",
    "{{ token | toString }}",
    "{% constructor %}",
    "{% include 'x' %}",
    "{% render 'x' %}",
    "{% layout 'x' %}",
    "{% for r in claims.roles %}{% endfor %}",
    "{% assign x = token %}",
    "{% liquid echo token %}",
    "{{ 'now' | date: '%s' }}",
    "{{ claims.roles | sample }}",
    "{{ token",
    "{% if %}",
    "{% if token %}",
  ]) {
    await assert.rejects(laidOut(template), { code: "TemplateInvalid" }, template);
  }
});

test("a part that the token lacks is told by the name in the template, never by a value", async () => {
  for (const [template, field] of [
    ["{{ claims.upn }}", "claims.upn"],
    ["{{ claims.address.city }}", "claims.address.city"],
    ["{{ claims.constructor }}", "claims.constructor"],
    ["{{ jwt.header.x5t }}", "jwt.header.x5t"],
    ["{{ attributes.region }}", "attributes.region"],
    ["{{ companions.clientSecret }}", "companions.clientSecret"],
    ["{{ companions.constructor }}", "companions.constructor"],
  ] as const) {
    await assert.rejects(laidOut(template), { code: "FormatFieldMissing", facts: { field } }, template);
  }
});

test("lists and objects are printed only in a form that was chosen", async () => {
  for (const template of ["{{ claims.roles }}", "{{ claims.address }}"]) {
    const of = aToken({ text: unsignedJwt({ ...claims, address: { city: "x" } }) });
    await assert.rejects(laidOut(template, of), { code: "TemplateInvalid" }, template);
  }
  assert.equal(await laidOut("{{ claims.roles | json }}"), '["Reader","Writer"]');
});

test("an opaque token has no claims", async () => {
  const opaque = aToken({ text: "opaque" });
  await assert.rejects(laidOut("{{ claims.sub }}", opaque), { code: "FormatFieldMissing" });
  assert.equal(await laidOut("{{ token }}", opaque), "opaque");
});

test("errors hold no byte of the token", async () => {
  const canary = aToken({ text: "canary-77d1" });
  for (const template of ["{{ claims.x }}{{ token }}", "{{ token }}{{ attributes.x }}"]) {
    const error = await laidOut(template, canary).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(error instanceof RotatorError);
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes("canary-77d1"));
  }
});

test("a text that grows out of hand is stopped", async () => {
  const growing = `{{ token ${"| replace: 'a', token ".repeat(12)}}}`;
  await assert.rejects(laidOut(growing, aToken({ text: "a".repeat(100) })), RotatorError);
});

test("several lines only for readers that take them", async () => {
  const template = "[{{ claims.sub }}]\ntoken={{ token }}\n";
  assert.deepEqual(complaints({ format: "template", template }), ["template"]);
  assert.deepEqual(complaints({ format: "template", template, multiline: true }), []);
  assert.equal(
    await layOut({ format: "template", template, multiline: true }, token),
    `[someone]\ntoken=${text}\n`,
  );
  const oneLine = await formatOf({ format: "template", template: "{{ token }}" });
  assert.throws(() => oneLine.render(aToken({ text: "a\nb" })), { code: "FormatMultiline" });
});

test("a template larger than a secret, or a content type longer than Key Vault takes, is refused", () => {
  const format = "template";
  assert.deepEqual(complaints({ format, template: "x".repeat(25 * 1024 + 1) }), ["template"]);
  assert.deepEqual(complaints({ format, template: "x", contentType: "x".repeat(256) }), ["contentType"]);
});
