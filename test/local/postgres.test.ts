import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import pg from "pg";
import { hours } from "../builders.ts";
import { audience, startTokenPostgres, type TokenPostgres, user } from "./postgresTokens.ts";

let postgres: TokenPostgres;
before(async () => {
  postgres = await startTokenPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

function client(password: string, options: pg.ClientConfig = {}): pg.Client {
  const { host, port } = postgres.server;
  const ssl = { ca: postgres.authority };
  return new pg.Client({ host, port, user, database: "app", password, ssl, ...options });
}

async function logIn(password: string, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const connected = client(password, options);
  connected.on("error", () => {});
  await connected.connect();
  return connected;
}

test("a token logs in until it expires, and the next one logs in again", async () => {
  const token = await postgres.sign();
  const first = await logIn(token);
  assert.deepEqual((await first.query("select $1::int + 1 as sum", [41])).rows, [{ sum: 42 }]);

  await postgres.clock.advance(hours);
  await assert.rejects(client(token).connect(), {
    code: "28P01",
    severity: "FATAL",
    message: "The access token has expired. Please acquire a new token and retry.",
  });
  // A session outlives the token that it began with.
  assert.deepEqual((await first.query("select 1 as one")).rows, [{ one: 1 }]);
  await first.end();

  const second = await logIn(await postgres.sign());
  await second.end();
  assert.deepEqual(
    postgres.server.logins.slice(-3).map(({ refused, ...login }) => [login.user, login.database, refused]),
    [
      [user, "app", undefined],
      [user, "app", "28P01"],
      [user, "app", undefined],
    ],
  );
});

test("every other token is refused, in the words of the real server", async () => {
  const table: readonly (readonly [string, RegExp])[] = [
    [
      await postgres.sign({ claims: { aud: "https://vault.azure.net" } }),
      new RegExp(`resource "${audience}"`),
    ],
    [
      await postgres.sign({ claims: { iss: "https://elsewhere.example.org" } }),
      /error occurred while validating/,
    ],
    [
      await postgres.sign({ claims: { nbf: postgres.clock.now() / 1000 + 1 } }),
      /error occurred while validating/,
    ],
    [await postgres.sign({ claims: { exp: undefined } }), /error occurred while validating/],
    [await postgres.sign({ foreignKey: true }), /error occurred while validating/],
    [await postgres.sign({ claims: { oid: "someone-else" } }), /password authentication failed for user/],
    ["opaque", /has invalid format/],
    ["", /has invalid format/],
  ];
  for (const [token, message] of table) {
    await assert.rejects(client(token).connect(), { code: "28P01", message });
  }
  const token = await postgres.sign();
  await assert.rejects(client(token, { user: "nobody" }).connect(), { code: "28P01" });
  await assert.rejects(client(token, { user: "toString" }).connect(), { code: "28P01" });
});

test("without TLS nobody gets as far as the password", async () => {
  const before = postgres.server.logins.length;
  await assert.rejects(client(await postgres.sign(), { ssl: false }).connect(), {
    code: "28000",
    message:
      /no pg_hba\.conf entry for host "127\.0\.0\.1", user "svc@example\.org", database "app", no encryption/,
  });
  assert.equal(postgres.server.logins.length, before);
});

test("connections take turns by transaction, and one that breaks off leaves nothing behind", async () => {
  const token = await postgres.sign();
  const [first, second] = await Promise.all([logIn(token), logIn(token)]);
  await first.query("create table turns (n int)");
  await first.query("begin");
  await first.query("insert into turns values (1)");
  const counted = second.query<{ count: string }>("select count(*) from turns");
  await first.query("insert into turns values (2)");
  await first.query("commit");
  assert.equal((await counted).rows[0]?.count, "2");

  await first.query("begin");
  await first.query("delete from turns");
  await assert.rejects(first.query("select nonsense"), { code: "42703" });
  const ended = new Promise<void>((resolve) => first.on("end", () => resolve()));
  (first as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  await ended;
  assert.equal((await second.query<{ count: string }>("select count(*) from turns")).rows[0]?.count, "2");
  await second.end();
});

test("clients that speak something else, trust nobody or say too much early end only themselves", async () => {
  const { host, port } = postgres.server;
  const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
  for (const bytes of [
    Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    Buffer.from([0, 0]),
    // Data after the request that would be taken for the first within TLS.
    Buffer.concat([sslRequest, Buffer.from("more")]),
    Buffer.from([0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1]),
  ]) {
    const socket = connect(port, host);
    socket.on("error", () => {});
    socket.resume();
    socket.end(bytes);
    await once(socket, "close");
  }
  await assert.rejects(client("x", { ssl: { ca: [] } }).connect());
  const still = await logIn(await postgres.sign());
  await still.end();
});
