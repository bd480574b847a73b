import assert from "node:assert/strict";
import { test } from "node:test";
import { format, inspect } from "node:util";
import type { TelemetryEvent } from "../src/events.ts";
import { SecretValue } from "../src/secretValue.ts";

const canary = "canary-7c31";
const secret = new SecretValue(canary);

test("every way to print it gives [redacted]", () => {
  const holder = { name: "x", secret, list: [secret], map: new Map([["key", secret]]) };
  const printed = [
    String(secret),
    `${secret}`,
    "".concat(secret as unknown as string),
    JSON.stringify(holder),
    inspect(holder, { depth: 9, showHidden: true, getters: true }),
    format("%s %o %O %j", secret, secret, secret, secret),
    Object.entries(secret).join(),
    JSON.stringify(Object.getOwnPropertyDescriptors(secret)),
    new Error("failed", { cause: secret }).stack ?? "",
    inspect(new Error("failed", { cause: secret })),
  ];
  for (const text of printed) {
    assert.ok(!text.includes(canary), text);
  }
  assert.match(JSON.stringify(holder), /\[redacted\]/);
});

test("it cannot be cloned into another thread or cache by accident", () => {
  assert.deepEqual(structuredClone(secret), {});
});

test("only reveal gives the text", () => {
  assert.equal(secret.reveal(), canary);
});

test("equal texts have equal fingerprints, others do not", () => {
  assert.equal(secret.fingerprint(), new SecretValue(canary).fingerprint());
  assert.notEqual(secret.fingerprint(), new SecretValue(`${canary} `).fingerprint());
  assert.match(secret.fingerprint(), /^[0-9a-f]{32}$/);
  assert.ok(secret.equals(new SecretValue(canary)));
  assert.ok(!secret.equals(new SecretValue("other")));
});

test("the size is counted in octets", () => {
  assert.equal(new SecretValue("é€").byteLength, 5);
});

test("the compiler keeps it out of telemetry, and out of where a text is wanted", () => {
  const event: TelemetryEvent = {
    name: "FallbackUsed",
    // @ts-expect-error a wrapped secret is no fact
    properties: { rotation: secret, kind: "entra", position: 1, code: "x" },
  };
  // @ts-expect-error a wrapped secret is no string
  const text: string = secret;
  assert.equal(JSON.stringify([event.properties, text]).includes(canary), false);
});
