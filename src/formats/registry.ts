import type { FormatPlugin } from "../plugins.ts";
import { dotenv } from "./dotenv.ts";
import { json } from "./json.ts";
import { mysqlUri } from "./mysqlUri.ts";
import { ociBundle } from "./ociBundle.ts";
import { ociConfig } from "./ociConfig.ts";
import { onemountAuth } from "./onemountAuth.ts";
import { pgpass } from "./pgpass.ts";
import { postgresUri } from "./postgresUri.ts";
import { privateKey } from "./privateKey.ts";
import { raw } from "./raw.ts";
import { template } from "./template.ts";

/** Every format by its name in the configuration. */
export const formats = {
  raw,
  json,
  pgpass,
  "postgres-uri": postgresUri,
  "mysql-uri": mysqlUri,
  dotenv,
  "private-key": privateKey,
  "oci-config": ociConfig,
  "oci-bundle": ociBundle,
  "onemount-auth": onemountAuth,
  template,
} satisfies Record<string, AnyFormat>;

/** A plug-in of any options; what they are is checked where it is declared. */
type AnyFormat = Pick<FormatPlugin<{ readonly format: string }>, "schema"> &
  Omit<FormatPlugin<never>, "schema">;
