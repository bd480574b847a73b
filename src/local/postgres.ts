import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { PostgresConnection } from "pg-gateway";
import type { Clock } from "../ports.ts";
import { Session, SharedDatabase } from "./postgresDatabase.ts";
import { LoginRefused, type VerifyLogin } from "./postgresLogin.ts";

export interface EmbeddedPostgresOptions {
  readonly clock: Clock;
  /** PEM of the server's certificate and of its key. */
  readonly tls: { readonly key: string; readonly cert: string };
  /** Decides on every login. */
  readonly verify: VerifyLogin;
  /** Default an ephemeral port. */
  readonly port?: number;
}

/** A login that was tried. What was given as password is not kept. */
export interface PostgresLogin {
  readonly user: string;
  readonly database: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** SQLSTATE of the refusal; `undefined` for a login that was accepted. */
  readonly refused: string | undefined;
}

export interface EmbeddedPostgres {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Oldest first. */
  readonly logins: readonly PostgresLogin[];
  /** Starts the database ahead of the first login, which would wait for it; resolves when it runs. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A PostgreSQL server that takes a token as password, as Azure Database for PostgreSQL and Lakebase do: TLS required, the
 * password in clear text inside of it, the messages and SQLSTATEs of the real server.
 *
 * The database itself is PGlite. It takes a second or two and some 400 MB, so it starts with the first login that is
 * accepted, and that login waits for it, unless `ready` was called before. There is one database, whatever name a client
 * asks for, and one session that all connections take turns on, a transaction at a time.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const secureContext = createSecureContext({ ...options.tls, minVersion: "TLSv1.2" });
  const sockets = new Set<Socket>();
  const logins: PostgresLogin[] = [];
  const database = new SharedDatabase();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // A client that goes away is no error of ours.
    socket.on("error", () => {});
    negotiate(socket, secureContext).then(
      (negotiated) => serve(negotiated, { ...options, database, logins }),
      () => socket.destroy(),
    );
  });
  await listen(server, options.port ?? 0);
  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    logins,
    ready: async () => {
      await database.settings();
    },
    stop: async () => {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
      await once(server, "close");
      await database.close();
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html
const sslRequest = 80_877_103;
const gssEncryptionRequest = 80_877_104;
const cancelRequest = 80_877_102;

/** Answers what a client asks for before it says who it is, and returns the connection on which it will say so. */
async function negotiate(socket: Socket, secureContext: SecureContext): Promise<Socket> {
  for (;;) {
    const head = await read(socket, 8);
    const code = head.readInt32BE(4);
    if (code === gssEncryptionRequest) {
      socket.write("N");
      continue;
    }
    if (code === cancelRequest) {
      throw new Error("nothing to cancel");
    }
    if (code !== sslRequest) {
      socket.unshift(head);
      return socket;
    }
    if (socket.readableLength > 0) {
      // Sent in the clear before TLS, but it would be read as if it came through it (CVE-2021-23214).
      throw new Error("data before the handshake");
    }
    socket.write("S");
    const secured = new TLSSocket(socket, { isServer: true, secureContext });
    secured.on("error", () => {});
    await once(secured, "secure");
    return secured;
  }
}

/** The next `size` octets; the rest stays unread, and reading stops. */
function read(socket: Socket, size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const onClose = () => reject(new Error("the client went away"));
    const onData = (part: Buffer) => {
      received = Buffer.concat([received, part]);
      if (received.length >= size) {
        socket.off("data", onData).off("close", onClose).pause();
        socket.unshift(received.subarray(size));
        resolve(received.subarray(0, size));
      }
    };
    socket.on("data", onData).on("close", onClose).resume();
  });
}

interface Serving extends EmbeddedPostgresOptions {
  readonly database: SharedDatabase;
  readonly logins: PostgresLogin[];
}

const passwordMessage = "p".charCodeAt(0);
const terminateMessage = "X".charCodeAt(0);

/** From the startup message on: the gateway takes it and asks for the password, and we have the rest. */
function serve(socket: Socket, { clock, verify, database, logins }: Serving): void {
  const connection = new PostgresConnection(socket, {
    authMode: "cleartextPassword",
    onStartup: ({ clientInfo }) => {
      if (socket instanceof TLSSocket) {
        return false;
      }
      const { user, database } = asked(clientInfo);
      const from = socket.remoteAddress ?? "unknown";
      refuse(
        "28000",
        `no pg_hba.conf entry for host "${from}", user "${user}", database "${database}", no encryption`,
      );
      return true;
    },
    // Whatever is thrown in here would be printed by the gateway, message and all.
    onMessage: async (message, { clientInfo }) => {
      if (clientInfo === undefined) {
        return false;
      }
      if (message[0] === passwordMessage) {
        const password = Buffer.from(message).subarray(5, -1).toString("utf8");
        await logIn(asked(clientInfo), password).catch(() => socket.destroy());
      } else {
        socket.destroy();
      }
      return true;
    },
  });
  // Reading stopped while it was not known whether TLS was wanted.
  socket.resume();

  async function logIn(login: Asked, password: string): Promise<void> {
    const refused = await verify(login.user, password).then(
      () => undefined,
      (error: unknown) => error,
    );
    const at = clock.now();
    if (refused !== undefined) {
      const { sqlState, message } = refused instanceof LoginRefused ? refused : LoginRefused.unspecific();
      logins.push({ ...login, at, refused: sqlState });
      refuse(sqlState, message);
      return;
    }
    const settings = await database.settings();
    logins.push({ ...login, at, refused: undefined });
    connection.sendAuthenticationOk();
    for (const [name, value] of settings) {
      connection.sendParameterStatus(name, value);
    }
    connection.sendReadyForQuery();
    // The gateway (0.2.4) cuts messages wrongly that arrive together, as those of a prepared statement do.
    connection.detach();
    converse(socket, database).catch(() => socket.destroy());
  }

  function refuse(code: string, message: string): void {
    connection.sendError({ severity: "FATAL", code, message });
    connection.socket.end();
  }
}

/** Passes messages to the database, one after the other, and its answers back, until the client has enough. */
async function converse(socket: Socket, database: SharedDatabase): Promise<void> {
  const session = new Session(database);
  try {
    for await (const message of messagesOf(socket)) {
      if (message[0] === terminateMessage) {
        return;
      }
      socket.write(await session.answer(message));
    }
  } finally {
    await session.end();
  }
}

const maxMessageBytes = 16 * 1024 * 1024;

/** Each message is a letter, then the length of what follows, which counts itself. */
async function* messagesOf(socket: Socket): AsyncGenerator<Buffer> {
  let received = Buffer.alloc(0);
  for await (const part of socket) {
    received = Buffer.concat([received, part]);
    while (received.length >= 5) {
      const length = 1 + received.readUInt32BE(1);
      if (length < 5 || length > maxMessageBytes) {
        throw new Error("not a message");
      }
      if (received.length < length) {
        break;
      }
      yield received.subarray(0, length);
      received = received.subarray(length);
    }
  }
}

interface Asked {
  readonly user: string;
  readonly database: string;
}

/** A client that names no database means the one of the user's name. */
function asked(clientInfo: { parameters: { user: string; database?: string } } | undefined): Asked {
  const { user = "", database = user } = clientInfo?.parameters ?? {};
  return { user, database };
}
