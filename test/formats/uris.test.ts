import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "pg-connection-string";
import { aToken } from "../builders.ts";
import { fc } from "../properties.ts";
import { complaints, layOut } from "./layOut.ts";

const token = aToken({ text: "a.token" });
const server = { host: "db.example.org", database: "app", user: "svc@example.org" };

test("postgres-uri insists on TLS unless told otherwise", async () => {
  const given = { format: "postgres-uri", ...server } as const;
  assert.equal(
    await layOut(given, token),
    "postgresql://svc%40example.org:a.token@db.example.org:5432/app?sslmode=require",
  );
  assert.equal(
    await layOut({ ...given, sslmode: "verify-full", parameters: { application_name: "a b&c" } }, token),
    "postgresql://svc%40example.org:a.token@db.example.org:5432/app?sslmode=verify-full&application_name=a%20b%26c",
  );
});

test("mysql-uri insists on TLS in the words of MySQL's own clients", async () => {
  const given = { format: "mysql-uri", ...server } as const;
  assert.equal(
    await layOut(given, token),
    "mysql://svc%40example.org:a.token@db.example.org:3306/app?ssl-mode=REQUIRED",
  );
  assert.equal(
    await layOut({ ...given, host: "::1", parameters: {} }, token),
    "mysql://svc%40example.org:a.token@[::1]:3306/app",
  );
});

/** Whatever a name or a token may hold; lone surrogates are no text that could be sent. */
const text = fc
  .string({ minLength: 1, maxLength: 40, unit: fc.constantFrom(..."ab:/?#[]@!$&'()*+,;=%^|\\\"<>{}` ~é😀") })
  .filter((value) => value.isWellFormed());
const host = fc.constantFrom("db.example.org", "127.0.0.1", "::1", "fe80::1:2", "localhost");
const port = fc.integer({ min: 1, max: 65_535 });

test("pg reads from a postgres-uri what was put into it", async () => {
  const database = text.filter((name) => !/[/?#]/.test(name));
  await fc.assert(
    fc.asyncProperty(host, port, database, text, text, async (host, port, database, user, password) => {
      const uri = await layOut(
        { format: "postgres-uri", host, port, database, user, parameters: { options: password } },
        aToken({ text: password }),
      );
      // `verify-full` only keeps the parser from warning about its next version.
      const read = parse(uri.replace("sslmode=require", "sslmode=verify-full"));
      assert.deepEqual(
        [read.host, read.port, read.database, read.user, read.password, read.options],
        [host, String(port), database, user, password, password],
      );
    }),
  );
});

test("the URL parser reads from a mysql-uri what was put into it", async () => {
  await fc.assert(
    fc.asyncProperty(host, port, text, text, text, async (host, port, database, user, password) => {
      const uri = new URL(
        await layOut(
          { format: "mysql-uri", host, port, database, user, parameters: { "ssl-mode": password } },
          aToken({ text: password }),
        ),
      );
      assert.deepEqual(
        [
          uri.hostname.replace(/^\[|\]$/g, ""),
          uri.port,
          decodeURIComponent(uri.pathname.slice(1)),
          decodeURIComponent(uri.username),
          decodeURIComponent(uri.password),
          uri.searchParams.get("ssl-mode"),
        ],
        [host, String(port), database, user, password, password],
      );
    }),
  );
});

test("a parameter cannot take the place of another part", () => {
  const names = ["password", "PASSWORD", "user", "host", "hostaddr", "port", "dbname", "sslmode", "service"];
  for (const name of names) {
    const given = { format: "postgres-uri", ...server, parameters: { [name]: "x" } } as const;
    assert.deepEqual(complaints(given), [`parameters.${name}`]);
  }
  const mysql = { format: "mysql-uri", ...server, parameters: { password: "x" } } as const;
  assert.deepEqual(complaints(mysql), ["parameters.password"]);
});

test("hosts that would end up elsewhere are refused", () => {
  for (const host of [
    "db.example.org/x",
    "db.example.org:5432",
    "evil@db.example.org",
    "postgres://db.example.org",
    "[::1]",
    "::1::",
    "",
    "a..b",
    "-a",
    "a b",
    "fe80::1%eth0",
  ]) {
    assert.deepEqual(complaints({ format: "postgres-uri", ...server, host }), ["host"], host);
  }
  assert.deepEqual(complaints({ format: "postgres-uri", ...server, database: "a/b" }), ["database"]);
  assert.deepEqual(complaints({ format: "postgres-uri", ...server, user: "half \ud83d" }), ["user"]);
});
