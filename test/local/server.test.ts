import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { RotatorError } from "../../src/errors.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { formBody, jsonBody, Refusal } from "../../src/local/service.ts";

describe("an embedded service", () => {
  let azure: EmbeddedAzure;
  let url: string;

  before(async () => {
    azure = await startEmbeddedAzure();
    url = await azure.serve({
      name: "echo",
      scheme: "http",
      bodyLimit: 100,
      routes: [
        {
          operation: "json",
          method: "POST",
          path: "/things/:thing/json",
          target: (call) => call.params.thing ?? "",
          handle: (call) => ({
            status: 201,
            headers: { Location: "/elsewhere" },
            body: {
              params: call.params,
              query: Object.fromEntries(call.query),
              json: jsonBody(call) ?? null,
            },
          }),
        },
        {
          operation: "form",
          method: "POST",
          path: "/form",
          handle: (call) => ({ status: 200, body: Buffer.from(formBody(call).get("public_key") ?? "") }),
        },
        {
          operation: "refuse",
          method: "GET",
          path: "/refuse",
          handle: () => {
            throw new Refusal({ status: 418, body: "no" });
          },
        },
        {
          operation: "fail",
          method: "GET",
          path: "/fail",
          handle: () => {
            throw new TypeError("defect of this test");
          },
        },
        { operation: "nothing", method: "DELETE", path: "/", handle: () => ({ status: 204 }) },
      ],
    });
  });
  afterEach(() => azure.requests.clear());
  after(() => azure.stop());

  const post = (path: string, body: string) => fetch(`${url}${path}`, { method: "POST", body });

  it("routes by method and path, decodes parameters, and answers JSON", async () => {
    const response = await post("/Things/a%2Fb//JSON/?api%2Dversion=1&x=%3D", '{"one":1}');
    assert.equal(response.status, 201);
    assert.equal(response.headers.get("location"), "/elsewhere");
    assert.equal(response.headers.get("content-type"), "application/json; charset=utf-8");
    assert.deepEqual(await response.json(), {
      params: { thing: "a/b" },
      query: { "api-version": "1", x: "=" },
      json: { one: 1 },
    });
    const [record] = azure.requests.of("echo.json");
    assert.equal(record?.target, "a/b");
    assert.equal(record?.path, "/Things/a%2Fb//JSON/");
  });

  for (const body of ["", "[]", "null", "{", '"text"']) {
    it(`takes ${JSON.stringify(body)} for no JSON object`, async () => {
      const answer = (await (await post("/things/x/json", body)).json()) as { json: unknown };
      assert.equal(answer.json, null);
    });
  }

  it("reads a form in which a plus is percent-encoded", async () => {
    const response = await post("/form", new URLSearchParams({ public_key: "a+b/c=" }).toString());
    assert.equal(await response.text(), "a+b/c=");
  });

  for (const [method, path] of [
    ["GET", "/nowhere"],
    ["PUT", "/things/x/json"],
    ["GET", "/things/%zz/json"],
  ] as const) {
    it(`answers 404 to ${method} ${path} and records it`, async () => {
      const response = await fetch(`${url}${path}`, { method });
      assert.equal(response.status, 404);
      assert.equal(((await response.json()) as { error: { code: string } }).error.code, "404");
      assert.deepEqual(
        azure.requests.of("echo.unknown").map((record) => [record.method, record.path, record.status]),
        [[method, path, 404]],
      );
    });
  }

  it("refuses a body over the limit", async () => {
    assert.equal((await post("/form", "x".repeat(100))).status, 200);
    assert.equal((await post("/form", "x".repeat(101))).status, 413);
  });

  it("answers what a handler refuses with, and an empty 204", async () => {
    const refused = await fetch(`${url}/refuse`);
    assert.deepEqual([refused.status, await refused.text()], [418, "no"]);
    const nothing = await fetch(url, { method: "DELETE" });
    assert.deepEqual([nothing.status, await nothing.text()], [204, ""]);
  });

  it("reports a handler that throws anything else as a defect", async () => {
    const response = await fetch(`${url}/fail`);
    assert.equal(response.status, 500);
    assert.doesNotMatch(await response.text(), /defect of this test/);
    assert.deepEqual(
      azure.requests.defects.splice(0).map((error) => (error as Error).message),
      ["defect of this test"],
    );
  });

  it("minds no client that goes away in the middle of a request", async () => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    await once(socket, "connect");
    socket.write("POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nhalf");
    socket.destroy();
    await once(socket, "close");
    assert.equal((await post("/form", "")).status, 200);
    assert.deepEqual(azure.requests.defects, []);
  });

  it("counts requests exactly and keeps the newest", async () => {
    for (let call = 0; call < 3; call++) {
      await fetch(`${url}/refuse`);
    }
    await post("/form", "");
    assert.deepEqual(azure.requests.counts, { "echo.refuse": 3, "echo.form": 1 });
    assert.equal(azure.requests.count("echo.*"), 4);
    assert.deepEqual(
      azure.requests.all.map(({ sequence }) => sequence),
      [1, 2, 3, 4],
    );
  });

  it("closes kept-alive connections when it stops, and its port is free again", async () => {
    const own = await startEmbeddedAzure();
    const port = Number(new URL(own.environment.IDENTITY_ENDPOINT as string).port);
    const socket = connect(port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(socket, "data");
    await Promise.all([once(socket, "close"), own.stop()]);

    await using again = await startEmbeddedAzure({ identityPort: port });
    assert.equal(new URL(again.identity.url).port, String(port));
    await assert.rejects(startEmbeddedAzure({ identityPort: port }), (error: RotatorError) => {
      assert.ok(error instanceof RotatorError);
      assert.equal(error.code, "PortUnavailable");
      assert.deepEqual(error.facts, { port });
      return true;
    });
  });
});
