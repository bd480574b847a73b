import type { PGlite } from "@electric-sql/pglite";

/** The database, started when it is first needed. Whoever works on its only session holds the turn meanwhile. */
export class SharedDatabase {
  #started: Promise<Started> | undefined;
  #turn: Promise<void> = Promise.resolve();

  /** What a server tells every client after the login, by name. Nobody who has the turn is waited for. */
  async settings(): Promise<Started["settings"]> {
    return (await this.#start()).settings;
  }

  /** Resolves when nobody else works on the session; the result ends the turn. */
  async takeTurn(): Promise<() => void> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    return resolve;
  }

  /** The answer to one message of the wire protocol. Only during a turn. */
  async answer(message: Uint8Array): Promise<Uint8Array> {
    return await (await this.#start()).database.execProtocolRaw(message);
  }

  /** Leaves nothing behind of whoever had the session. Only during a turn. */
  async reset(): Promise<void> {
    const { database } = await this.#start();
    // A client that broke off in the middle of its messages may not have sent the one that ends them.
    await database.execProtocolRaw(syncMessage);
    await database.exec("rollback");
    await database.exec("discard all");
  }

  async close(): Promise<void> {
    await (await this.#started)?.database.close();
  }

  #start(): Promise<Started> {
    this.#started ??= start().catch((error: unknown) => {
      this.#started = undefined;
      throw error;
    });
    return this.#started;
  }
}

interface Started {
  readonly database: PGlite;
  readonly settings: readonly (readonly [name: string, value: string])[];
}

async function start(): Promise<Started> {
  const { PGlite } = await import("@electric-sql/pglite");
  const database = await PGlite.create();
  // Those that libpq and psql look at: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
  const { rows } = await database.query<{ name: string; setting: string }>(
    "select name, setting from pg_settings where name in ('server_version', 'server_encoding', 'client_encoding', 'DateStyle', 'TimeZone', 'integer_datetimes', 'standard_conforming_strings')",
  );
  return { database, settings: rows.map(({ name, setting }) => [name, setting]) };
}

const syncMessage = Uint8Array.of("S".charCodeAt(0), 0, 0, 0, 4);
/** ReadyForQuery outside of a transaction: what a server's last message is when a client has nothing under way. */
const readyAndIdle = Buffer.from([..."Z\0\0\0\x05I"].map((character) => character.charCodeAt(0)));

/** What one connection does in the shared session: it has the turn from the first message of a transaction to its end. */
export class Session {
  readonly #database: SharedDatabase;
  #release: (() => void) | undefined;

  constructor(database: SharedDatabase) {
    this.#database = database;
  }

  async answer(message: Uint8Array): Promise<Uint8Array> {
    this.#release ??= await this.#database.takeTurn();
    const answer = await this.#database.answer(message);
    if (Buffer.from(answer).subarray(-readyAndIdle.length).equals(readyAndIdle)) {
      this.#release();
      this.#release = undefined;
    }
    return answer;
  }

  /** The connection is gone. */
  async end(): Promise<void> {
    const release = this.#release ?? (await this.#database.takeTurn());
    await this.#database.reset().catch(() => {});
    release();
  }
}
