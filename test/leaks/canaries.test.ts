import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fc } from "../properties.ts";
import { Canaries } from "./canaries.ts";

/** Has all that an encoding changes. */
const secret = 'first+second/third= "fourth" & <fifth>\nsixth\u00e9~';

function planted(text: string): string[] {
  const canaries = new Canaries();
  canaries.add(secret, "the secret");
  return canaries.find("there", text).map(({ form }) => form);
}

describe("the scan for secrets finds one", () => {
  const forms: [name: string, written: (text: string) => string][] = [
    ["as it is", (text) => text],
    ["in JSON", (text) => JSON.stringify({ message: text })],
    ["in JSON in JSON", (text) => JSON.stringify({ line: JSON.stringify({ message: text }) })],
    ["in a URL", (text) => `https://example.org/?a=${encodeURIComponent(text)}`],
    ["in a form", (text) => new URLSearchParams({ a: "b", text, c: "d" }).toString()],
    [
      "in HTML",
      (text) => `<p>${text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;")}</p>`,
    ],
    ["in hex", (text) => Buffer.from(text).toString("hex")],
    ["in base64", (text) => Buffer.from(text).toString("base64")],
    ["in base64url", (text) => Buffer.from(text).toString("base64url")],
  ];
  for (const [name, written] of forms) {
    test(name, () => assert.notDeepEqual(planted(`before ${written(secret)} after`), []));
  }

  test("in base64 of a longer text, wherever it stands in it", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20 }),
        fc.uint8Array({ maxLength: 20 }),
        fc.constantFrom("base64" as const, "base64url" as const),
        (before, after, encoding) => {
          const whole = Buffer.concat([before, Buffer.from(secret), after]).toString(encoding);
          assert.notDeepEqual(planted(whole), []);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("by a part of it: the payload or the signature of a JWT, a line of a key", () => {
    const part = (text: string) => Buffer.from(text.repeat(3)).toString("base64url");
    const signature = part("signature");
    const keyLine = "A1b2".repeat(16);
    const canaries = new Canaries();
    canaries.add(`user:eyJ${part("header")}.${part("payload")}.${signature}@host`, "a URI");
    canaries.add(`-----BEGIN PRIVATE KEY-----\n${keyLine}\nQ==\n-----END PRIVATE KEY-----\n`, "a key");
    assert.equal(canaries.find("log", `Bearer ...${signature}`).length, 1);
    assert.equal(canaries.find("log", `key=${keyLine}`).length, 1);
    assert.deepEqual(canaries.find("log", `eyJ${part("header")}`), []);
  });

  test("and none where there is none, or all of one but its end", () => {
    assert.deepEqual(planted(""), []);
    assert.deepEqual(planted(secret.slice(0, -1)), []);
    assert.deepEqual(planted("the quick brown fox ".repeat(1000)), []);
  });

  test("and tells where without telling what", () => {
    const canaries = new Canaries();
    canaries.add(secret, "the secret");
    assert.deepEqual(canaries.find("a file", `${"x".repeat(7)}${secret}`)[0], {
      place: "a file",
      secret: "the secret",
      form: "plain",
      offset: 7,
    });
  });
});
