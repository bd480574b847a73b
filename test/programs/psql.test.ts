import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createCertificateAuthority } from "../../src/local/certificateAuthority.ts";
import { startEmbeddedPostgres } from "../../src/local/postgres.ts";
import { aToken, hours } from "../builders.ts";
import { type Given, layOut } from "../formats/layOut.ts";
import { startTokenPostgres, type TokenPostgres, user } from "../local/postgresTokens.ts";
import { VirtualClock } from "../virtualClock.ts";

/*
 * psql reads what we write: it logs in to a PostgreSQL that takes tokens, fails once the token has expired, and logs in
 * again after a rotation. Without psql on the machine these tests fail.
 */

let postgres: TokenPostgres;
let directory: string;
before(async () => {
  postgres = await startTokenPostgres();
  directory = await mkdtemp(join(tmpdir(), "psql-"));
});
after(async () => {
  await postgres?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

interface Ended {
  readonly exitCode: number | string;
  readonly output: string;
  readonly errors: string;
}

/** psql with nothing of the user's: no password prompt, no start-up file, no environment but what is given. */
function psql(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const env = { PATH: process.env.PATH, HOME: directory, LC_ALL: "C", ...environment };
  const query = ["--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--command", "select 40 + 2"];
  return new Promise((resolve) => {
    execFile("psql", [...query, ...args], { env, timeout: 30_000 }, (error, output, errors) => {
      resolve({
        exitCode: error?.code ?? 0,
        output,
        errors: errors + (error?.code === "ENOENT" ? error : ""),
      });
    });
  });
}

async function writePgpass(given: Omit<Given, "format">, text: string): Promise<string> {
  const file = join(directory, "pgpass");
  // psql ignores a password file that others may read.
  await writeFile(file, await layOut({ format: "pgpass", ...given }, aToken({ text })), { mode: 0o600 });
  return file;
}

const answered: Ended = { exitCode: 0, output: "42\n", errors: "" };
const expired = /FATAL: {2}The access token has expired\. Please acquire a new token and retry\./;

test("with a .pgpass: logs in over TLS, is refused once the token has expired, logs in with the next one", async () => {
  const { port } = postgres.server;
  const line = { host: ["127.0.0.1", "localhost"], port, user };
  const connect = async (text: string, host = "127.0.0.1") =>
    psql([`host=${host} port=${port} user=${user} dbname=app sslmode=require`], {
      PGPASSFILE: await writePgpass(line, text),
    });

  const first = await postgres.sign();
  assert.deepEqual(await connect(first), answered);
  assert.deepEqual(await connect(first, "localhost"), answered);

  await postgres.clock.advance(hours);
  const refused = await connect(first);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.errors, expired);

  assert.deepEqual(await connect(await postgres.sign()), answered);
});

test("with a URI: the same, and verify-full with the server's authority", async () => {
  const { port } = postgres.server;
  const authority = join(directory, "authority.pem");
  await writeFile(authority, postgres.authority);
  const server = { format: "postgres-uri", host: "127.0.0.1", port, database: "app", user } as const;
  const connect = async (given: Given, text: string) => psql([await layOut(given, aToken({ text }))]);

  const first = await postgres.sign();
  assert.deepEqual(await connect(server, first), answered);
  const verifying = { ...server, sslmode: "verify-full", parameters: { sslrootcert: authority } };
  assert.deepEqual(await connect(verifying, first), answered);
  const trustingNobody = await connect({ ...server, sslmode: "verify-full" }, first);
  assert.equal(trustingNobody.exitCode, 2);

  await postgres.clock.advance(hours);
  const refused = await connect(server, first);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.errors, expired);

  assert.deepEqual(await connect(server, await postgres.sign()), answered);
});

test("without TLS psql is turned away, and its password was not asked for", async () => {
  const uri = await layOut(
    {
      format: "postgres-uri",
      host: "127.0.0.1",
      port: postgres.server.port,
      database: "app",
      user,
      sslmode: "disable",
    },
    aToken({ text: await postgres.sign() }),
  );
  const { exitCode, errors } = await psql([uri]);
  assert.equal(exitCode, 2);
  assert.match(errors, /no pg_hba\.conf entry for host .* no encryption/);
});

test("names and tokens with every character that has to be escaped reach the server as they are", async () => {
  const logins: string[][] = [];
  const { leaf } = await createCertificateAuthority();
  const server = await startEmbeddedPostgres({
    clock: new VirtualClock(),
    tls: leaf,
    verify: async (user, password) => {
      logins.push([user, password]);
      throw new Error("seen enough");
    },
  });
  try {
    const { port } = server;
    for (const [user, database, text] of [
      ["a:b\\c\\", "d:e\\", "t:o\\k:e\\\\n\\"],
      ["a@b/c?d#e%f", "g@h:i&j=k+l", "t/o?k#e%n@:&=+[]'\"{} *!"],
    ] as const) {
      const passfile = await writePgpass({ host: "127.0.0.1", port, user, database }, text);
      const environment = { PGPASSFILE: passfile, PGUSER: user, PGDATABASE: database, PGSSLMODE: "require" };
      await psql(["--host=127.0.0.1", `--port=${port}`], environment);
      assert.deepEqual(logins.pop(), [user, text]);

      const given = { format: "postgres-uri", host: "127.0.0.1", port, user, database } as const;
      await psql([await layOut(given, aToken({ text }))]);
      assert.deepEqual(logins.pop(), [user, text]);
      assert.equal(server.logins.at(-1)?.database, database);
    }
  } finally {
    await server.stop();
  }
});
