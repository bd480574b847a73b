import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Hosted, startHosted } from "./hosted.ts";

/*
 * The bundle that is deployed, over HTTP: routes, keys, and that nothing secret comes out. What each answer says is tested
 * with its code.
 */

let hosted: Hosted;
const answers: string[] = [];

before(async () => {
  hosted = await startHosted();
});
after(() => hosted?.[Symbol.asyncDispose]());

interface Options {
  readonly method?: string;
  readonly key?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function call(path: string, { key = hosted.host.functionKey.reveal(), ...options }: Options = {}) {
  const response = await fetch(`${hosted.host.url}/api/${path}`, {
    ...options,
    headers: { ...options.headers, ...(key === "" ? {} : { "x-functions-key": key }) },
  });
  const text = await response.text();
  answers.push(text, JSON.stringify([...response.headers]));
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
}

describe("over the functions host", () => {
  test("every function but the health and the way in asks for a key", async () => {
    const functions = hosted.host.functions.filter(({ route }) => route !== undefined);
    assert.equal(functions.length, 8);
    for (const { name, route = "", methods = [] } of functions) {
      for (const method of methods) {
        const path = route.replace("/api/", "").replace("{name}", "oracle-adb");
        const { status } = await call(path, { method, key: "" });
        assert.equal(status, name === "health" || name === "ui" ? 200 : 401, `${method} ${route}`);
      }
    }
    assert.equal(hosted.azure.vault.secrets.list().length, 0);
  });

  test("a rotation that is asked for is made by the app's identity, and can be seen everywhere", async () => {
    const missing = await call("ready/oracle-adb");
    assert.equal(missing.status, 503);
    assert.equal(missing.json().outputs[0].freshness, "missing");

    const made = await call("rotations/oracle-adb/rotate", { method: "POST" });
    assert.equal(made.status, 200, made.text);
    assert.equal(made.json().outcome, "Rotated");
    const unchanged = await call("rotations/oracle-adb/rotate", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"force": true}',
    });
    // The platform hands out the token that it has in its cache.
    assert.deepEqual([unchanged.status, unchanged.json().outcome], [200, "SourceUnchanged"]);

    assert.equal((await call("ready/oracle-adb")).status, 200);
    const rows = (await call("status")).json();
    assert.deepEqual(
      rows.map(({ output, freshness }: Record<string, string>) => `${output} ${freshness}`),
      ["oracle-entraid-token fresh", "nobody-token missing"],
    );
    const { headers, text } = await call("metrics");
    assert.match(headers.get("content-type") ?? "", /^application\/openmetrics-text;/);
    assert.match(text, /^token_rotator_seconds_to_expiry\{rotation="oracle-adb",[^}]*\} 3[56]\d\d$/m);
    assert.match(text, /^token_rotator_process_rotations_total\{outcome="Rotated"\} 1$/m);
  });

  test("the page is the same, and rotates with its own form only", async () => {
    const shell = await call("ui", { key: "" });
    assert.match(shell.headers.get("content-type") ?? "", /^text\/html/);
    assert.doesNotMatch(shell.text, /oracle-adb/);
    const page = await call("ui/page");
    assert.match(page.text, /<h3>oracle-adb<\/h3>/);
    const cookie = page.headers.getSetCookie()[0] ?? "";
    assert.match(cookie, /^rotator-form=[0-9a-f]{32}; path=\/; samesite=Strict; httponly$/i);
    const [pair = ""] = cookie.split(";");
    const form = { method: "POST", body: `token=${pair.split("=")[1]}&rotation=oracle-adb` };
    assert.equal((await call("ui/page", form)).status, 403);
    const after = await call("ui/page", { ...form, headers: { cookie: pair } });
    assert.equal(after.status, 200);
    assert.match(after.text, /<strong>oracle-adb<\/strong> SourceUnchanged\./);
  });

  test("the alert's call runs a tick, whatever it brings along", async () => {
    const { status, json } = await call("tick", { method: "POST", body: "x".repeat(100_000) });
    assert.equal(status, 200);
    assert.deepEqual(
      json().map(({ rotation, outcome, stage }: Record<string, string>) => [rotation, outcome, stage]),
      [
        ["oracle-adb", "Fresh", undefined],
        ["nobody", "Failed", "mint"],
      ],
    );
    const health = await call("health", { key: "" });
    assert.match(health.json().lastTick, /^\d{4}-/);
  });

  test("bad input is refused by name", async () => {
    for (const [path, expected, code] of [
      ["rotations/nobody-at-all/rotate", 404, "RotationUnknown"],
      ["rotations/%2e%2e%2fapp/rotate", 400, "NameInvalid"],
      ["rotations/%00/rotate", 400, "NameInvalid"],
    ] as const) {
      const { status, json } = await call(path, { method: "POST" });
      assert.deepEqual([status, json().code], [expected, code], path);
    }
    const large = await call("rotations/oracle-adb/rotate", { method: "POST", body: "x".repeat(1_025) });
    assert.deepEqual([large.status, large.json().code], [413, "BodyTooLarge"]);
  });

  test("no token and no key came out of it, in an answer or in the log", async () => {
    const { vault, host, log } = { vault: hosted.azure.vault, host: hosted.host, log: hosted.log };
    const token = vault.secrets.find("oracle-entraid-token").value.reveal();
    const said = [...answers, ...log.map((line) => JSON.stringify(line))].join("\n");
    assert.ok(answers.length > 20 && log.length > 20);
    for (const secret of [token, ...token.split("."), host.functionKey.reveal()]) {
      assert.equal(said.includes(secret), false);
    }
    assert.doesNotMatch(said, /\n +at .*\.js:\d+/);
  });
});
