import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { aToken } from "../builders.ts";
import { fc } from "../properties.ts";
import { complaints, layOut } from "./layOut.ts";

type Entry = Record<"host" | "port" | "database" | "user" | "password", string>;
/** The parser of the npm package, which `pg` reads ~/.pgpass with. */
const { parseLine, isValidEntry } = createRequire(import.meta.url)("pgpass/lib/helper.js") as {
  parseLine(line: string): Entry;
  isValidEntry(entry: Entry): boolean;
};

test("one line per host, with the defaults of PostgreSQL", async () => {
  const options = { format: "pgpass", host: ["db1.example.org", "::1"], user: "svc@example.org" } as const;
  assert.equal(
    await layOut(options, aToken({ text: "a.token" })),
    "db1.example.org:5432:*:svc@example.org:a.token\n\\:\\:1:5432:*:svc@example.org:a.token\n",
  );
});

test("what is written is what the reader's parser reads", async () => {
  // The npm parser takes the backslash before a separator for an escape even where it is one of an escaped pair; libpq
  // does not, and the suite of real programs reads such a field with it.
  const field = fc
    .string({ minLength: 1, maxLength: 40, unit: fc.constantFrom(..."ab:\\*# @'\"é") })
    .filter((text) => !text.endsWith("\\") && text !== "*");
  const host = fc.constantFrom("db.example.org", "127.0.0.1", "::1", "fe80::1:2", "a_b");
  await fc.assert(
    fc.asyncProperty(
      host,
      fc.integer({ min: 1, max: 65_535 }),
      field,
      field,
      field,
      async (host, port, database, user, text) => {
        const laidOut = await layOut({ format: "pgpass", host, port, database, user }, aToken({ text }));
        const entry = parseLine(laidOut.replace(/\n$/, ""));
        assert.deepEqual({ ...entry }, { host, port: String(port), database, user, password: text });
        assert.ok(isValidEntry(entry));
      },
    ),
  );
});

test("what would let the token be offered to somebody else is refused", () => {
  const options = { format: "pgpass", host: "db.example.org", user: "app" } as const;
  assert.deepEqual(complaints({ ...options, user: "*" }), ["user"]);
  assert.deepEqual(complaints({ ...options, host: "*" }), ["host"]);
  assert.deepEqual(complaints({ ...options, host: [] }), ["host"]);
  assert.deepEqual(complaints({ ...options, user: "app\nother:5432:*:evil" }), ["user"]);
  assert.deepEqual(complaints({ ...options, port: 0 }), ["port"]);
});
