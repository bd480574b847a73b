import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback } from "../src/loopback.ts";

for (const { host, loopback } of [
  { host: "localhost", loopback: true },
  { host: "LOCALHOST:8443", loopback: true },
  { host: "kv.localhost", loopback: true },
  { host: "a.b.localhost:1", loopback: true },
  { host: "127.0.0.1", loopback: true },
  { host: "127.255.0.1:80", loopback: true },
  { host: "0x7f000001", loopback: true },
  { host: "[::1]:443", loopback: true },
  { host: "localhost.example.org", loopback: false },
  { host: "notlocalhost", loopback: false },
  { host: "127.0.0.1.example.org", loopback: false },
  { host: "128.0.0.1", loopback: false },
  { host: "10.127.0.0", loopback: false },
  { host: "[::2]", loopback: false },
  { host: "[::ffff:7f00:1]", loopback: false },
  { host: "kv.vault.azure.net", loopback: false },
  { host: "user:localhost@example.org", loopback: false },
]) {
  test(`${host} is ${loopback ? "" : "not "}on this machine`, () => {
    assert.equal(isLoopback(new URL(`https://${host}/path`)), loopback);
  });
}
