import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HttpResponseInit } from "@azure/functions";
import { RotatorError } from "../../src/errors.ts";
import type { Answer } from "../../src/http/endpoint.ts";
import { endpoint } from "../../src/http/endpoint.ts";
import { ready } from "../../src/http/ready.ts";
import { rotate } from "../../src/http/rotate.ts";
import { status } from "../../src/http/status.ts";
import { wake } from "../../src/http/wake.ts";
import { anOutput, aSource, aToken, epoch, hours, minutes, seconds } from "../builders.ts";
import { codePoint, fc } from "../properties.ts";
import { aConsumer, aRequest, type RequestParts, Scene } from "./scene.ts";

async function ask(scene: Scene, answer: Answer, parts: RequestParts = {}) {
  const handler = endpoint(async () => answer, { runner: scene.runner, access: "key" });
  const response = (await handler(aRequest(parts), scene.context)) as HttpResponseInit;
  const headers = response.headers as Record<string, string>;
  return { status: response.status, headers, body: JSON.parse(response.body as string) };
}

const post = (name: string, rest: Partial<RequestParts> = {}): RequestParts => ({
  method: "POST",
  params: { name },
  ...rest,
});
const asJson = { "content-type": "application/json" };

/** A source that throws, or mints an hour's token once it is let go. */
function aGate() {
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const source = aSource(async () => {
    asked.resolve();
    await gate.promise;
    return aToken({ expiresOn: new Date(epoch + hours) });
  });
  return { source, open: () => gate.resolve(), asked: asked.promise };
}

describe("every answer", () => {
  test("is kept by nobody and opens nothing", async () => {
    const scene = new Scene();
    scene.add("app");
    for (const { headers } of [
      await ask(scene, status),
      await ask(scene, ready, { params: { name: "nobody" } }),
      await ask(scene, rotate, post("app")),
    ]) {
      assert.deepEqual(
        { ...headers, "content-type": "" },
        {
          "cache-control": "no-store",
          "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
          "content-type": "",
          "cross-origin-resource-policy": "same-origin",
          "referrer-policy": "no-referrer",
          "x-content-type-options": "nosniff",
        },
      );
    }
  });

  test("that tells of a problem has its code, message and remedy, and none of the facts", async () => {
    const scene = new Scene();
    const facts = { actual: "claim-4b1e", file: "/home/site/rotations.json" };
    scene.loadError = new RotatorError(
      {
        code: "ConfigurationUnreadable",
        message: "It cannot be read.",
        remedy: "Mend it.",
        retryable: false,
      },
      { facts, cause: new Error("cause-77aa") },
    );
    const { status: code, headers, body } = await ask(scene, status);
    assert.equal(code, 500);
    assert.equal(headers["content-type"], "application/problem+json");
    assert.deepEqual(body, {
      code: "ConfigurationUnreadable",
      message: "It cannot be read.",
      remedy: "Mend it.",
    });
    // Those who may read the log need them.
    assert.match(scene.logged.join("\n"), /^error ConfigurationUnreadable: .*claim-4b1e/);
  });

  test("is 503 for what passes, and 500 with no word of its own for what nobody foresaw", async () => {
    const scene = new Scene();
    const passing = { code: "Busy", message: "Busy.", remedy: "Wait.", retryable: true };
    scene.loadError = new RotatorError(passing);
    assert.equal((await ask(scene, status)).status, 503);
    scene.loadError = Object.assign(new Error("canary-7f3a"), { request: { headers: "canary-7f3a" } });
    const { status: code, body } = await ask(scene, status);
    assert.equal(code, 500);
    assert.equal(body.code, "Unexpected");
    assert.doesNotMatch(JSON.stringify(body), /canary-7f3a| {4}at |node:/);
  });
});

describe("GET /api/status", () => {
  test("is what `status --json` prints", async () => {
    const scene = new Scene();
    const consumers = aConsumer("postgres-mcp", "app-token", "behind");
    scene.seed(scene.add("app", { consumers }), 10 * minutes);
    scene.add("new");
    const { status: code, headers, body } = await ask(scene, status);
    assert.equal(code, 200);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(body.length, 2);
    assert.deepEqual(
      { ...body[0], renewAt: "" },
      {
        rotation: "app",
        output: "app-token",
        secret: "app-token",
        vault: "https://kv-test.vault.azure.net",
        freshness: "fresh",
        reason: "Fresh",
        expiresOn: "2026-01-01T00:50:00.000Z",
        secondsToExpiry: 3000,
        renewAt: "",
        versions: 1,
        consumers: [{ name: consumers[0]?.consumer.target, state: "behind" }],
      },
    );
    assert.equal(body[1].freshness, "missing");
  });
});

describe("GET /api/ready/{name}", () => {
  const readiness = async (ageMs: number) => {
    const scene = new Scene();
    scene.seed(scene.add("app"), ageMs);
    return ask(scene, ready, { params: { name: "app" } });
  };

  test("is 200 until a reader may come to hold an expired token", async () => {
    // An hour's token; the floor is 22 minutes.
    const safe = await readiness(38 * minutes - seconds);
    assert.equal(safe.status, 200);
    assert.deepEqual(safe.body, {
      rotation: "app",
      ready: true,
      outputs: [{ output: "app-token", freshness: "due", reason: "NearingExpiry" }],
    });
    const stale = await readiness(38 * minutes);
    assert.equal(stale.status, 503);
    assert.deepEqual(stale.body.outputs, [
      { output: "app-token", freshness: "stale", reason: "NearingExpiry" },
    ]);
    assert.equal((await readiness(hours)).body.outputs[0].freshness, "expired");
  });

  test("is 503 when one of several outputs is not", async () => {
    const scene = new Scene();
    const rotation = scene.add("app");
    scene.seed(rotation, 0);
    scene.rotations[0] = { ...rotation, outputs: [...rotation.outputs, anOutput({ secret: "other" })] };
    const { status: code, body } = await ask(scene, ready, { params: { name: "app" } });
    assert.equal(code, 503);
    assert.equal(body.ready, false);
    assert.deepEqual(
      body.outputs.map(({ freshness }: { freshness: string }) => freshness),
      ["fresh", "missing"],
    );
  });

  test("is 503 while the vault cannot be read, and 404 for a name that is nobody's", async () => {
    const scene = new Scene();
    scene.add("app");
    scene.engine.store.fail = () =>
      new RotatorError({ code: "VaultDown", message: "Down.", remedy: "Wait.", retryable: true });
    const { status: code, body } = await ask(scene, ready, { params: { name: "app" } });
    assert.equal(code, 503);
    assert.deepEqual(body.outputs, [{ output: "app-token", freshness: "unknown", reason: "StateUnknown" }]);
    const unknown = await ask(scene, ready, { params: { name: "nobody" } });
    assert.equal(unknown.status, 404);
    assert.equal(unknown.body.code, "RotationUnknown");
  });
});

describe("POST /api/rotations/{name}/rotate", () => {
  test("rotates what is due and nothing else, and says how it ended", async () => {
    const scene = new Scene();
    scene.add("app");
    scene.add("other");
    const first = await ask(scene, rotate, post("app"));
    assert.equal(first.status, 200);
    const { version, ...row } = first.body;
    assert.match(version, /^[0-9a-f]{32}$/);
    assert.deepEqual(row, {
      rotation: "app",
      outcome: "Rotated",
      reason: "SecretMissing",
      expiresOn: "2026-01-01T01:00:00.000Z",
      durationMs: 0,
    });
    assert.equal(scene.engine.store.versions("other-token").length, 0);
    assert.equal((await ask(scene, rotate, post("app"))).body.outcome, "Fresh");
    assert.equal(scene.engine.store.versions("app-token").length, 1);
  });

  test("mints although nothing is due when it is told to", async () => {
    const scene = new Scene();
    scene.seed(scene.add("app"), 10 * minutes);
    const forced = post("app", { headers: asJson, body: '{"force":true}' });
    const { body } = await ask(scene, rotate, forced);
    assert.deepEqual([body.outcome, body.reason], ["Rotated", "Forced"]);
    assert.equal(scene.engine.store.versions("app-token").length, 2);
  });

  test("is 500 where it failed, without the facts, which may be claims", async () => {
    const scene = new Scene();
    const mismatch = new RotatorError(
      { code: "AudienceMismatch", message: "Another audience.", remedy: "Compare both.", retryable: false },
      { facts: { actual: "claim-4b1e" } },
    );
    scene.add("app", {
      sources: [
        aSource(async () => {
          throw mismatch;
        }),
      ],
    });
    const { status: code, body } = await ask(scene, rotate, post("app"));
    assert.equal(code, 500);
    assert.deepEqual(
      { ...body, durationMs: 0 },
      {
        rotation: "app",
        outcome: "Failed",
        reason: "SecretMissing",
        stage: "mint",
        code: "AudienceMismatch",
        message: "Another audience. Compare both.",
        durationMs: 0,
      },
    );
    assert.match(scene.logged.join("\n"), /claim-4b1e/);
  });

  test("is 202 while replicas are still being replaced", async () => {
    const scene = new Scene();
    scene.add("app", { consumers: aConsumer("postgres-mcp", "app-token", "restarting") });
    const { status: code, body } = await ask(scene, rotate, post("app"));
    assert.equal(code, 202);
    assert.equal(body.outcome, "RestartPending");
  });

  test("is 409 while a tick is under way", async () => {
    const scene = new Scene();
    const { source, open, asked } = aGate();
    scene.add("app", { sources: [source] });
    const first = ask(scene, rotate, post("app"));
    await asked;
    const second = await ask(scene, rotate, post("app"));
    assert.equal(second.status, 409);
    assert.equal(second.body.code, "TickRunning");
    open();
    assert.equal((await first).body.outcome, "Rotated");
  });

  test("refuses what it does not know, before anything is done", async () => {
    const scene = new Scene();
    scene.add("app");
    for (const [parts, expected, code] of [
      [post("nobody"), 404, "RotationUnknown"],
      [post("App"), 400, "NameInvalid"],
      [post("../app"), 400, "NameInvalid"],
      [post("a".repeat(64)), 400, "NameInvalid"],
      [post("app\n"), 400, "NameInvalid"],
      [post("__proto__"), 400, "NameInvalid"],
      [post("app", { params: {} }), 400, "NameInvalid"],
      [post("app", { headers: asJson, body: "[]" }), 400, "BodyInvalid"],
      [post("app", { headers: asJson, body: "null" }), 400, "BodyInvalid"],
      [post("app", { headers: asJson, body: "{" }), 400, "BodyInvalid"],
      [post("app", { headers: asJson, body: '{"force":"true"}' }), 400, "BodyInvalid"],
      [post("app", { headers: asJson, body: '{"force":true,"acceptSubject":true}' }), 400, "BodyInvalid"],
      [post("app", { headers: asJson, body: '{"__proto__":{"force":true}}' }), 400, "BodyInvalid"],
      [post("app", { body: '{"force":true}' }), 400, "BodyInvalid"],
      [
        post("app", { headers: { "content-type": "text/plain" }, body: '{"force":true}' }),
        400,
        "BodyInvalid",
      ],
      [post("app", { headers: asJson, body: `{"force":true}${" ".repeat(1_011)}` }), 413, "BodyTooLarge"],
      [post("app", { headers: { "sec-fetch-site": "cross-site" } }), 403, "CrossSiteRequest"],
    ] as const) {
      const { status: status_, body } = await ask(scene, rotate, parts);
      assert.deepEqual([status_, body.code], [expected, code], JSON.stringify(parts));
      assert.deepEqual(Object.keys(body), ["code", "message", "remedy"]);
    }
    assert.deepEqual(scene.engine.store.calls, []);
    const longest = post("app", { headers: asJson, body: `{"force":true}${" ".repeat(1_010)}` });
    assert.equal((await ask(scene, rotate, longest)).status, 200);
  });

  test("whatever is sent, the answer is a row or a problem", async () => {
    const scene = new Scene();
    scene.add("app");
    const text = fc.oneof(fc.string(), fc.string({ unit: codePoint }), fc.json());
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constant("app"), text),
        fc.oneof(fc.constant(""), text),
        fc.constantFrom("application/json", "application/json; charset=utf-8", "text/html", ""),
        async (name, body, type) => {
          const answer = await ask(scene, rotate, post(name, { headers: { "content-type": type }, body }));
          assert.ok([200, 400, 404, 413].includes(answer.status ?? 0), String(answer.status));
          assert.ok(answer.status === 200 ? answer.body.outcome : answer.body.remedy);
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe("POST /api/tick", () => {
  test("runs every rotation and tells of each; a rotation that failed does not fail the tick", async () => {
    const scene = new Scene();
    scene.add("app");
    scene.add("bad", {
      sources: [
        aSource(async () => {
          throw new TypeError("no");
        }),
      ],
    });
    // An alert in the common schema is longer than what other functions take.
    const alert = JSON.stringify({ schemaId: "azureMonitorCommonAlertSchema", data: "x".repeat(50_000) });
    const { status: code, body } = await ask(scene, wake, { method: "POST", headers: asJson, body: alert });
    assert.equal(code, 200);
    assert.deepEqual(
      body.map(({ rotation, outcome }: Record<string, string>) => `${rotation} ${outcome}`),
      ["app Rotated", "bad Failed"],
    );
    assert.equal(scene.runner.health().lastTick, "2026-01-01T00:00:00.000Z");
    assert.equal(scene.engine.telemetry.of("TickCompleted").length, 1);
  });

  test("is 202 while one is under way, and does not start another", async () => {
    const scene = new Scene();
    const { source, open, asked } = aGate();
    scene.add("app", { sources: [source] });
    const first = ask(scene, wake, { method: "POST" });
    await asked;
    const second = await ask(scene, wake, { method: "POST" });
    assert.deepEqual([second.status, second.body], [202, { running: true }]);
    open();
    assert.equal((await first).status, 200);
    assert.equal(scene.engine.telemetry.of("TickCompleted").length, 1);
  });

  test("is 500 where there is no configuration to tick with", async () => {
    const scene = new Scene();
    scene.loadError = new TypeError("no");
    assert.equal((await ask(scene, wake, { method: "POST" })).status, 500);
    assert.equal(scene.engine.telemetry.of("TickFailed").length, 1);
  });
});
