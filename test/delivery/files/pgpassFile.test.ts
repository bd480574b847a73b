import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { mergePgpass } from "../../../src/delivery/files/pgpassFile.ts";
import { escapePgpass } from "../../../src/formats/pgpass.ts";
import { fc } from "../../properties.ts";

type Connection = Readonly<Record<"host" | "port" | "database" | "user", string>>;
const { getPassword } = createRequire(import.meta.url)("pgpass/lib/helper.js") as {
  getPassword(connection: Connection, file: Readable, done: (password: string | undefined) => void): void;
};

function merged(existing: string | undefined, ours: string): string {
  const file = existing === undefined ? undefined : Buffer.from(existing, "latin1");
  return mergePgpass(file, Buffer.from(ours)).toString("latin1");
}

describe("where our line goes", () => {
  const ours = "db.example.org:5432:*:svc:new\n";
  for (const [name, existing, expected] of [
    ["no file", undefined, ours],
    ["an empty file", "", ours],
    ["to the end", "a:5432:*:b:c\n", `a:5432:*:b:c\n${ours}`],
    ["after a line without an end", "a:5432:*:b:c", `a:5432:*:b:c\n${ours}`],
    ["with the file's line ends", "a:5432:*:b:c\r\n", `a:5432:*:b:c\r\n${ours.replace("\n", "\r\n")}`],
    [
      "in its own place, among comments and blank lines",
      "# mine\n\ndb.example.org:5432:*:svc:old\n # not one\nx:1:y:z:p\n",
      `# mine\n\n${ours} # not one\nx:1:y:z:p\n`,
    ],
    ["in its own place at an end without a line break", "db.example.org:5432:*:svc:old", ours.trimEnd()],
    ["before a line that would hide it", "x:1:y:z:p\n*:*:*:svc:old\n", `x:1:y:z:p\n${ours}*:*:*:svc:old\n`],
    [
      "out of the shadow of a line that was put above it",
      "*:5432:*:*:own\ndb.example.org:5432:*:svc:old\n",
      `${ours}*:5432:*:*:own\n`,
    ],
    [
      "after a line that is more particular than ours",
      "db.example.org:5432:one:svc:own\n",
      `db.example.org:5432:one:svc:own\n${ours}`,
    ],
    ["once", "db.example.org:5432:*:svc:1\na:1:b:c:d\ndb.example.org:5432:*:svc:2\n", `${ours}a:1:b:c:d\n`],
    [
      "beside a commented line of the same server",
      "#db.example.org:5432:*:svc:old\n",
      `#db.example.org:5432:*:svc:old\n${ours}`,
    ],
    [
      "without touching bytes that are no UTF-8",
      "a:1:b:c:\xff\xfe\x00\xc3\n",
      `a:1:b:c:\xff\xfe\x00\xc3\n${ours}`,
    ],
  ] as const) {
    test(name, () => {
      assert.equal(merged(existing, ours), expected);
      assert.equal(merged(expected, ours), expected, "a second time changes nothing");
    });
  }

  test("a name with escapes is the same name without the needless ones", () => {
    assert.equal(
      merged("h\\ost:5432:d\\:b:s\\\\v:old\n", "host:5432:d\\:b:s\\\\v:new\n"),
      "host:5432:d\\:b:s\\\\v:new\n",
    );
  });

  test("an escaped star is a name, and hides nothing", () => {
    assert.equal(merged("\\*:5432:*:svc:own\n", ours), `\\*:5432:*:svc:own\n${ours}`);
  });

  test("several lines of one output, each in its place", () => {
    const two = "a:5432:*:svc:new\nb:5432:*:svc:new\n";
    assert.equal(
      merged("b:5432:*:svc:old\nc:5432:*:svc:own\n", two),
      "b:5432:*:svc:new\nc:5432:*:svc:own\na:5432:*:svc:new\n",
    );
  });
});

for (const [name, content] of [
  ["nothing", ""],
  ["a bare token", "eyJhbGciOi.eyJzdWIi.c2ln"],
  ["a comment among the lines", "# no\na:1:b:c:d\n"],
  ["a line with too few fields", "a:1:b:c:d\na:1:b\n"],
] as const) {
  test(`a secret that holds ${name} is no password file, and its content is not in the error`, () => {
    assert.throws(
      () => merged("x:1:y:z:p\n", content),
      (error: Error & { code?: string }) =>
        error.code === "ContentUnfit" && (content === "" || !JSON.stringify({ ...error }).includes(content)),
    );
  });
}

/** Fields that come up again and again, so that lines hide, repeat and resemble each other. */
const field = fc.constantFrom("*", "a", "b", "\\*", "a\\:b", "\\\\", "\\a", "", "\xe9");
const line = fc.oneof(
  fc
    .tuple(field, fc.constantFrom("*", "5432", "1"), field, field, fc.constantFrom("p", "q:r", ""))
    .map((parts) => parts.join(":")),
  fc.constantFrom("", " ", "# a:5432:b:a:p", "#", "a:b"),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString("latin1").replaceAll("\n", "")),
);
const file = fc
  .tuple(fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 12 }), fc.boolean())
  .map(([lines, ended]) => {
    const text = lines.flat().join("");
    return ended ? text : text.replace(/\r?\n$/, "");
  });
const name = fc.constantFrom("a", "b", "a:b", "\\", "*x");
const entry = fc.record({
  host: name,
  port: fc.constantFrom("5432", "1"),
  database: fc.constantFrom("*", "a", "b"),
  user: name,
});

function lineOf({ host, port, database, user }: Connection, password: string): string {
  return `${[host, port, database, user].map((part) => (part === "*" ? part : escapePgpass(part))).join(":")}:${password}\n`;
}

/** As libpq reads a password file (`passwordFromFile` and `pwdfMatchesString` in its fe-connect.c). */
function libpqPassword(text: string, { host, port, database, user }: Connection): string | undefined {
  for (const raw of text.split("\n")) {
    const candidate = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (candidate.startsWith("#")) {
      continue;
    }
    let rest: string | undefined = candidate;
    for (const wanted of [host, port, database, user]) {
      rest = rest === undefined ? undefined : afterField(rest, wanted);
    }
    if (rest !== undefined) {
      return rest.replace(/\\(.)/gs, "$1");
    }
  }
  return undefined;
}

function afterField(text: string, wanted: string): string | undefined {
  if (text.startsWith("*:")) {
    return text.slice(2);
  }
  let at = 0;
  for (const character of wanted) {
    at += text[at] === "\\" ? 1 : 0;
    if (text[at] !== character) {
      return undefined;
    }
    at += 1;
  }
  return text[at] === ":" ? text.slice(at + 1) : undefined;
}

test("whatever the file: our line is the one that is found, all others are as they were, and twice is once", () => {
  fc.assert(
    fc.property(file, entry, (existing, connection) => {
      const ours = lineOf(connection, "new");
      const once = merged(existing, ours);
      assert.equal(merged(once, ours), once);
      const particular = {
        ...connection,
        database: connection.database === "*" ? "some database" : connection.database,
      };
      assert.equal(libpqPassword(once, particular), "new");

      const linesOf = (text: string) => text.split("\n").map((each) => each.replace(/\r$/, ""));
      const isOurs = (each: string) => !each.startsWith("#") && isLineFor(each, connection);
      const others = (text: string) => linesOf(text).filter((each) => each !== "" && !isOurs(each));
      assert.deepEqual(others(once), others(existing));
    }),
    { numRuns: 3_000 },
  );
});

/** Whether a line is for exactly this connection: it matches, and none of its fields is a star that ours has not. */
function isLineFor(text: string, connection: Connection): boolean {
  let rest: string | undefined = text;
  for (const wanted of [connection.host, connection.port, connection.database, connection.user]) {
    if (rest === undefined || rest.startsWith("*:") !== (wanted === "*")) {
      return false;
    }
    rest = afterField(rest, wanted);
  }
  return rest !== undefined;
}

test("arbitrary bytes stay, in their order", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const existing = Buffer.from(bytes);
      const once = mergePgpass(existing, Buffer.from("h:5432:*:u:token\n"));
      const text = once.toString("latin1");
      const [before = "", after = ""] = text.split("h:5432:*:u:token");
      // Ours is at the end, or on a line of its own among the others.
      const rest = before + after.replace(/^\r?\n/, "");
      const original = existing.toString("latin1");
      assert.ok([original, `${original}\n`, `${original}\r\n`].includes(rest), JSON.stringify(text));
    }),
    { numRuns: 500 },
  );
});

test("the package pgpass for Node.js finds our password too", async () => {
  const text = merged("# mine\n*:*:*:svc:old\nx:1:y:z:p\n", "db.example.org:5432:*:svc:eyJ.a.b\n");
  const connection = { host: "db.example.org", port: "5432", database: "app", user: "svc" };
  const found = await new Promise((resolve) => getPassword(connection, Readable.from([text]), resolve));
  assert.equal(found, "eyJ.a.b");
});

test("10 MB of other people's lines are no matter", () => {
  const existing = Buffer.from("host.example.org:5432:database:user:password\n".repeat(230_000));
  const once = mergePgpass(existing, Buffer.from("h:5432:*:u:token\n"));
  assert.ok(once.subarray(0, existing.length).equals(existing));
  assert.equal(once.subarray(existing.length).toString(), "h:5432:*:u:token\n");
});
