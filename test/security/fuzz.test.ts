import assert from "node:assert/strict";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { RotatorError } from "../../src/errors.ts";
import { compileTemplate } from "../../src/formats/templating.ts";
import type { HttpData } from "../../src/local/functionsHost/coreModule.ts";
import { parseRoute } from "../../src/local/functionsHost/httpRoutes.ts";
import { createHttpTriggers } from "../../src/local/functionsHost/httpTrigger.ts";
import { retryAfterMs } from "../../src/retryAfter.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { aToken } from "../builders.ts";
import { unsignedJwt } from "../jwt.ts";
import { fc } from "../properties.ts";

describe("whatever comes in", () => {
  test("Retry-After and Date give a wait that can be waited, or none", () => {
    const header = fc.oneof(
      fc.string(),
      fc.stringMatching(/^\d{1,30}$/),
      fc.constantFrom("-1", "1e9", "0x10", "Infinity", "NaN", "Thu, 01 Jan 1970 00:00:00 GMT", "GMT", " GMT"),
      fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    );
    fc.assert(
      fc.property(fc.option(header), fc.option(header), (retryAfter, date) => {
        const ms = retryAfterMs({ get: (name) => (name === "retry-after" ? retryAfter : date) });
        assert.ok(ms === undefined || (Number.isFinite(ms) && ms >= 0), String(ms));
      }),
      { numRuns: 1_000 },
    );
  });

  test("a template is laid out or refused by name, and reaches nothing but the token", async () => {
    const part = fc.oneof(
      fc.constantFrom(
        "{{",
        "}}",
        "{%",
        "%}",
        "{{ token }}",
        "{{ claims.sub }}",
        "{{ claims.constructor }}",
        "{{ claims.__proto__.polluted }}",
        "{{ token.constructor.constructor }}",
        "{{ process.env }}",
        "{{ global }}",
        "{% include 'x' %}",
        "{% render '/etc/passwd' %}",
        "{% layout '../x' %}",
        "{% for a in (1..1000000000) %}{{ a }}{% endfor %}",
        "{% if claims.sub %}",
        "{% endif %}",
        "{{ token | base64 }}",
        "{{ token | map: 'constructor' }}",
        "{{ token | replace: 'a', token | replace: 'e', token }}",
        "{{ claims | json }}",
        "| size",
      ),
      fc.string(),
    );
    const token = aToken({ text: unsignedJwt({ sub: "someone", nested: { a: [1, { b: 2 }] } }) });
    let laidOut = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        try {
          const text = (await compileTemplate(parts.join("")))(token);
          laidOut += 1;
          assert.ok(text.length <= 1_000_000);
          assert.ok(!/native code|process\.|\[object /.test(text.replaceAll(parts.join(""), "")));
        } catch (error) {
          assert.ok(error instanceof RotatorError, String(error));
          assert.ok(
            ["TemplateInvalid", "FormatFieldMissing", "TokenMalformed"].includes(error.code),
            error.code,
          );
        }
      }),
      { numRuns: 400 },
    );
    assert.ok(laidOut > 20, "some are good");
  });

  test("a request to the local host is answered, and a function is reached only with its key", async () => {
    const functionKey = new SecretValue("k".repeat(43));
    const route = parseRoute("rotations/{name}/rotate");
    assert.ok(route !== undefined);
    const reached: HttpData[] = [];
    const httpFunction = { name: "rotate", methods: ["POST"], route, authLevel: "function" as const };
    const server = createHttpTriggers(
      [httpFunction] as unknown as Parameters<typeof createHttpTriggers>[0],
      { functionKey: functionKey.reveal(), masterKey: "m".repeat(43) },
      async (_function, data) => {
        reached.push(data);
        return {} as Awaited<ReturnType<Parameters<typeof createHttpTriggers>[2]>>;
      },
    );
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    const wrongKey = fc.oneof(
      fc.stringMatching(/^[!-~]{0,60}$/),
      fc.constantFrom("k".repeat(42), "k".repeat(44), "K".repeat(43), `${"k".repeat(43)},`, "undefined"),
    );
    const path = fc.oneof(
      fc.constantFrom(
        "/api/rotations/a/rotate",
        "/api/rotations/%2e%2e/rotate",
        "/api/rotations/%/rotate",
        "//api",
        "/api/rotations/__proto__/rotate",
        "*",
        "/?code=",
      ),
      fc.stringMatching(/^\/[!-~]{0,60}$/),
    );
    try {
      await fc.assert(
        fc.asyncProperty(
          path,
          wrongKey,
          fc.constantFrom("GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"),
          fc.uint8Array({ maxLength: 200 }),
          async (where, key, method, body) => {
            const status = await send({
              port,
              path: where,
              method,
              headers: { "x-functions-key": key },
              body,
            });
            assert.ok([400, 401, 404].includes(status), `${method} ${where}: ${status}`);
          },
        ),
        { numRuns: 200 },
      );
      assert.equal(reached.length, 0);
      const headers = { "x-functions-key": functionKey.reveal() };
      const good = {
        port,
        path: "/api/rotations/a/rotate",
        method: "POST",
        headers,
        body: Buffer.from("{}"),
      };
      assert.equal(await send(good), 204);
      assert.equal(reached.length, 1);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

interface RawRequest {
  readonly port: number;
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** As it is, without what `fetch` makes of an address. */
function send({ body, ...options }: RawRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", agent: false, ...options }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    sent.on("error", reject);
    sent.setHeader("content-length", body.length);
    sent.end(body);
  });
}
