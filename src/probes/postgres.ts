import { Socket } from "node:net";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { type Problem, RotatorError } from "../errors.ts";
import { host, port, serverName, uriHost } from "../formats/endpoint.ts";
import { isLoopback } from "../loopback.ts";
import type { ProbePlugin } from "../plugins.ts";
import { connectionProblem, errorCode, probeProblems } from "./problems.ts";

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z
        .literal("postgres")
        .describe("Logs in to PostgreSQL with the new token as password and runs `select 1`."),
      host: host(z).describe("Name or address of the server; an IPv6 address without brackets."),
      port: port(z).default(5432).describe("Port of the server. Default 5432."),
      database: serverName(z).default("postgres").describe("Database to log in to. Default postgres."),
      user: serverName(z).describe("The database user that the token logs in."),
      tls: z
        .boolean()
        .default(true)
        .describe(
          "TLS with a certificate that is trusted and fits the host. Default true; false only on loopback.",
        ),
    })
    .refine(({ tls, host }) => tls || isLoopback(new URL(`http://${uriHost(host)}`)), {
      path: ["tls"],
      message: "would send the token in the clear; only a server on a loopback address may go without TLS",
    }),
);

export const postgres: ProbePlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async ({ host, port, database, user, tls }) => ({
    probe: async (token, { signal }) => {
      const { default: pg } = await import("pg");
      const socket = new Socket();
      const client = new pg.Client({
        host,
        port,
        database,
        user,
        password: token.value.reveal(),
        // Given in any case: what is left out would come from PGSSLMODE and other variables.
        ssl: tls,
        application_name: "keyvault-token-rotator",
        stream: () => socket,
      });
      // The client has no way to be stopped in the middle, but a connection that is gone ends whatever it does.
      const stop = () => socket.destroy(new Error("stopped"));
      signal.addEventListener("abort", stop, { once: true });
      // A connection that breaks after the login is told here too, and would end the process if nobody listened.
      client.on("error", () => {});
      try {
        signal.throwIfAborted();
        await client.connect();
        await client.query("select 1");
      } catch (cause) {
        const problem = signal.aborted ? probeProblems.ProbeTimeout : problemOf(cause);
        const code = errorCode(cause);
        throw new RotatorError(problem, {
          facts: { host, port, ...(code === undefined ? {} : { errorCode: code }) },
          cause,
        });
      } finally {
        await client.end().catch(() => {});
        signal.removeEventListener("abort", stop);
        socket.destroy();
      }
    },
  }),
};

function problemOf(error: unknown): Problem {
  const code = errorCode(error) ?? "";
  // The server's own errors have a severity, and as code an SQLSTATE: five characters, of which two are the class.
  // https://www.postgresql.org/docs/current/errcodes-appendix.html
  if (!(error instanceof Error && "severity" in error)) {
    // `pg` says in words only that the server has no TLS.
    const noTls = error instanceof Error && error.message.includes("does not support SSL");
    return noTls ? probeProblems.ProbeUntrusted : connectionProblem(code);
  }
  // 28: the login is refused; 42501: the user may not connect to this database.
  if (code.startsWith("28") || code === "42501") {
    return probeProblems.ProbeRefused;
  }
  // 08: the connection; 53: too many connections, no memory; 57: starting up, shutting down.
  return /^(08|53|57)/.test(code) ? probeProblems.ProbeUnreachable : probeProblems.ProbeFailed;
}
