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
    format: z.literal("mysql-uri").describe("A MySQL connection URI with the token as password."),
    scheme: z
      .string()
      .regex(/^mysql(?:\+[a-z0-9_]{1,32})?$/, "is not a scheme of MySQL; use mysql")
      .default("mysql")
      .describe("Scheme of the URI. Default mysql; SQLAlchemy takes a driver with it: mysql+pymysql."),
    host: host(z).describe("Name or address of the server; an IPv6 address without brackets."),
    port: port(z).default(3306).describe("Port of the server. Default 3306."),
    database: serverName(z).describe("Database (schema) to connect to."),
    user: serverName(z).describe("The database user that the token logs in."),
    parameters: parameters(z)
      .default({ "ssl-mode": "REQUIRED" })
      .describe(
        'Connection parameters, in place of the default { "ssl-mode": "REQUIRED" } of MySQL\'s own clients; mysql2 for Node.js wants { "ssl": "{}" }.',
      ),
  }),
);

const parts = ["database", "host", "password", "port", "schema", "socket", "user"];

/** https://dev.mysql.com/doc/refman/8.4/en/connecting-using-uri-or-key-value-pairs.html */
export const mysqlUri: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  check: (options) => complaintsAboutOverriding(options.parameters, parts),
  create: async ({ database, ...options }) => {
    const uri = connectionUri({ ...options, path: percentEncode(database) });
    return { render: (token) => rendered(uri(tokenLine(token)), "text/plain; format=mysql-uri") };
  },
};
