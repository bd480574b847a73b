import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import {
  complaintsAboutOverriding,
  connectionUri,
  host,
  parameters,
  percentEncode,
  port,
  serverName,
} from "./endpoint.ts";
import { rendered, tokenLine } from "./rendering.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("postgres-uri")
      .describe(
        "A PostgreSQL connection URI with the token as password: for libpq, pg, psycopg and the like.",
      ),
    scheme: z
      .string()
      .regex(
        /^postgres(?:ql)?(?:\+[a-z0-9_]{1,32})?$/,
        "is not a scheme of PostgreSQL; use postgresql or postgres",
      )
      .default("postgresql")
      .describe(
        "Scheme of the URI. Default postgresql; SQLAlchemy takes a driver with it: postgresql+psycopg.",
      ),
    host: host(z).describe("Name or address of the server; an IPv6 address without brackets."),
    port: port(z).default(5432).describe("Port of the server. Default 5432."),
    // `pg` does not decode these three in the path, libpq does.
    database: serverName(z)
      .regex(/^[^/?#]*$/, "has a /, ? or # in it, which the readers of a URI take differently")
      .describe("Database to connect to."),
    user: serverName(z).describe("The database user that the token logs in: the role's name in PostgreSQL."),
    sslmode: z
      .enum(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
      .default("require")
      .describe("How far TLS is insisted on. Default require; verify-full also checks whom the server is."),
    parameters: parameters(z)
      .default({})
      .describe('More connection parameters: { "application_name": "reports", "connect_timeout": "10" }.'),
  }),
);

const parts = ["dbname", "host", "hostaddr", "passfile", "password", "port", "service", "sslmode", "user"];

/** https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS */
export const postgresUri: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  check: (options) => complaintsAboutOverriding(options.parameters, parts),
  create: async ({ database, sslmode, parameters, ...options }) => {
    const uri = connectionUri({
      ...options,
      path: encodePath(database),
      parameters: { sslmode, ...parameters },
    });
    return { render: (token) => rendered(uri(tokenLine(token)), "text/plain; format=postgres-uri") };
  },
};

/** `pg` decodes the path with `decodeURI`, which leaves these as they are; RFC 3986 lets them stand in a path. */
function encodePath(database: string): string {
  return percentEncode(database).replace(/%(?:24|26|2B|2C|3A|3B|3D|40)/g, decodeURIComponent);
}
