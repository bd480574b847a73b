import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import * as z from "zod";
import { RotatorError } from "../../src/errors.ts";
import { trustInThisProcess } from "../../src/local/certificateAuthority.ts";
import { postgres } from "../../src/probes/postgres.ts";
import { aToken, hours } from "../builders.ts";
import { startTokenPostgres, type TokenPostgres, user } from "../local/postgresTokens.ts";
import { VirtualClock } from "../virtualClock.ts";

const canary = "canary-5c3e";

/** How the probe ends: the code of its problem, or `works`. */
async function probe(
  given: Readonly<Record<string, unknown>>,
  text: string,
  signal = new AbortController().signal,
): Promise<{ code: string; error?: RotatorError }> {
  const options = postgres.schema(z).parse({ kind: "postgres", user, ...given });
  const made = await postgres.create(options, { clock: new VirtualClock(), fetch: globalThis.fetch });
  try {
    await made.probe(aToken({ text }), { signal, giveUpAt: Number.POSITIVE_INFINITY });
    return { code: "works" };
  } catch (error) {
    assert.ok(error instanceof RotatorError);
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(text));
    return { code: error.code, error };
  }
}

let server: TokenPostgres;
before(async () => {
  server = await startTokenPostgres();
});
after(() => server[Symbol.asyncDispose]());

test("a token works until it expires, over TLS with a trusted certificate", async () => {
  using _trust = trustInThisProcess(server.authority);
  const { host, port } = server.server;
  const token = await server.sign();
  assert.equal((await probe({ host, port }, token)).code, "works");
  assert.equal((await probe({ host: "localhost", port, database: "app" }, token)).code, "works");
  await server.clock.advance(hours);
  const { code, error } = await probe({ host, port }, token);
  assert.equal(code, "ProbeRefused");
  assert.deepEqual(error?.facts, { host, port, errorCode: "28P01" });
  assert.equal(error?.retryable, false);
  const tried = server.server.logins.map(({ database, refused }) => [database, refused]);
  assert.deepEqual(tried, [
    ["postgres", undefined],
    ["app", undefined],
    ["postgres", "28P01"],
  ]);
});

test("no token is sent to a server whose certificate is not trusted", async () => {
  const { host, port } = server.server;
  const before = server.server.logins.length;
  assert.equal((await probe({ host, port }, canary)).code, "ProbeUntrusted");
  assert.equal(server.server.logins.length, before);
});

/** A server that does one thing with each connection, for as long as `use` runs. */
async function withServer<T>(serve: (socket: Socket) => void, use: (port: number) => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>();
  const fake = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    serve(socket);
  });
  fake.listen(0, "127.0.0.1");
  await once(fake, "listening");
  try {
    return await use((fake.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) {
      socket.destroy();
    }
    fake.close();
  }
}

const host = "127.0.0.1";

test("no token is sent to a server without TLS, unless the configuration says so", async () => {
  const received: string[] = [];
  const withoutTls = (socket: Socket) => {
    socket.on("data", (data) => received.push(data.toString("latin1")));
    socket.once("data", () => socket.write("N"));
  };
  await withServer(withoutTls, async (port) => {
    assert.equal((await probe({ host, port }, canary)).code, "ProbeUntrusted");
  });
  assert.ok(!received.join("").includes(canary));
});

for (const [sqlState, code] of [
  ["28000", "ProbeRefused"],
  ["42501", "ProbeRefused"],
  ["3D000", "ProbeFailed"],
  ["53300", "ProbeUnreachable"],
  ["57P03", "ProbeUnreachable"],
] as const) {
  test(`SQLSTATE ${sqlState} is ${code}`, async () => {
    const fields = `SFATAL\0VFATAL\0C${sqlState}\0M${canary}\0\0`;
    const head = Buffer.from("E\0\0\0\0");
    head.writeUInt32BE(4 + fields.length, 1);
    const refuse = (socket: Socket) =>
      socket.once("data", () => socket.end(Buffer.concat([head, Buffer.from(fields)])));
    await withServer(refuse, async (port) => {
      const { code: actual, error } = await probe({ host, port, tls: false }, canary);
      assert.equal(actual, code);
      assert.equal(error?.facts.errorCode, sqlState);
      assert.equal(error?.retryable, code === "ProbeUnreachable");
    });
  });
}

test("a server that is not there, hangs up, or says something else cannot be reached", async () => {
  const closed = await withServer(
    () => {},
    async (port) => port,
  );
  assert.equal((await probe({ host, port: closed }, canary)).code, "ProbeUnreachable");
  await withServer(
    (socket) => socket.destroy(),
    async (port) => assert.equal((await probe({ host, port }, canary)).code, "ProbeUnreachable"),
  );
  await withServer(
    (socket) => void socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    async (port) => assert.equal((await probe({ host, port }, canary)).code, "ProbeUnreachable"),
  );
});

test("a server that does not answer is left when the signal says so", async () => {
  const stop = new AbortController();
  const silent = (socket: Socket) => void socket.once("data", () => stop.abort(new Error("time is up")));
  await withServer(silent, async (port) => {
    const { code, error } = await probe({ host, port }, canary, stop.signal);
    assert.equal(code, "ProbeTimeout");
    assert.equal(error?.retryable, true);
  });
  await withServer(
    () => assert.fail("a connection was made"),
    async (port) => assert.equal((await probe({ host, port }, canary, stop.signal)).code, "ProbeTimeout"),
  );
});

test("only a loopback server may go without TLS", () => {
  const accepted = (host: string, tls: boolean) =>
    postgres.schema(z).safeParse({ kind: "postgres", user, host, tls }).success;
  for (const host of ["127.0.0.1", "::1", "localhost", "db.localhost"]) {
    assert.ok(accepted(host, false), host);
  }
  for (const host of ["db.example.org", "10.0.0.1", "127.0.0.1.example.org", "::2"]) {
    assert.ok(!accepted(host, false), host);
    assert.ok(accepted(host, true), host);
  }
});
