import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import { host, port, serverName } from "./endpoint.ts";
import { rendered, tokenLine } from "./rendering.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("pgpass")
      .describe(
        "Lines of a PostgreSQL password file (.pgpass) with the token as password, one line per host.",
      ),
    host: z
      .union([host(z), z.array(host(z)).min(1)])
      .describe(
        "The server, or several that take the same token: host names or addresses as the client is given them.",
      ),
    port: port(z).default(5432).describe("Port of the server. Default 5432."),
    database: serverName(z)
      .default("*")
      .describe("Database that the line is for; * (the default) is every one."),
    user: serverName(z).describe("The database user that the token logs in: the role's name in PostgreSQL."),
  }),
);

/** https://www.postgresql.org/docs/current/libpq-pgpass.html */
export const pgpass: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  check: ({ user }) =>
    // `*` matches anything: the token would be offered for users that it is not for.
    user === "*"
      ? [{ path: ["user"], message: "stands for every user; name the one that the token is for" }]
      : [],
  create: async ({ host: hosts, port, database, user }) => ({
    render: (token) => {
      const password = tokenLine(token);
      const lines = [hosts].flat().map((name) => pgpassLine([name, String(port), database, user, password]));
      return rendered(`${lines.join("\n")}\n`, "text/plain; format=pgpass");
    },
  }),
};

function pgpassLine(fields: readonly string[]): string {
  return fields.map(escapePgpass).join(":");
}

/** For one field of a password file. */
export function escapePgpass(field: string): string {
  return field.replace(/[\\:]/g, "\\$&");
}
