import type { OutputConfiguration } from "../../config/configuration.ts";

/** A file as its reader finds it in a container. */
export interface ReadableFile {
  readonly output: OutputConfiguration;
  /** Directory that it is mounted in. */
  readonly directory: string;
  readonly name: string;
}

/** How a program in the container is told where its files are. */
export interface ReaderSettings {
  readonly environment: Readonly<Record<string, string>>;
  /** Files that it needs besides, for a ConfigMap: their name and content. */
  readonly configuration?: {
    readonly directory: string;
    readonly files: Readonly<Record<string, string>>;
  };
  /** For a person, above the pod. */
  readonly notes: readonly string[];
  /** What will not work as it is. */
  readonly warnings: readonly string[];
}

/** The settings for every file, by its format; for Oracle, by its name. */
export function readerSettings(files: readonly ReadableFile[]): ReaderSettings {
  const each = files.map((file) => settingsOf(file, files));
  return {
    environment: Object.assign({}, ...each.map(({ environment }) => environment)) as Record<string, string>,
    ...each
      .map(({ configuration }) => (configuration === undefined ? {} : { configuration }))
      .find((found) => "configuration" in found),
    notes: each.flatMap(({ notes }) => notes),
    warnings: each.flatMap(({ warnings }) => warnings),
  };
}

function settingsOf(file: ReadableFile, files: readonly ReadableFile[]): ReaderSettings {
  const path = `${file.directory}/${file.name}`;
  switch (file.output.options.format) {
    case "pgpass":
      return { environment: { PGPASSFILE: path }, notes: [], warnings: [] };
    case "oci-config":
      return ociSettings(file, path, files);
    case "raw":
      return file.name === "token" ? oracleSettings(file) : pathSettings(file, path);
    case "private-key":
      // The profile says where it is.
      return { environment: {}, notes: [], warnings: [] };
    default:
      return pathSettings(file, path);
  }
}

function pathSettings({ output }: ReadableFile, path: string): ReaderSettings {
  return { environment: { [`${variableName(output.secret)}_FILE`]: path }, notes: [], warnings: [] };
}

/**
 * An Oracle client takes a directory with a file of the name `token`, in `sqlnet.ora` or in the connect descriptor.
 * https://docs.oracle.com/en/database/oracle/oracle-database/19/netrf/parameters-for-the-sqlnet.ora.html (TOKEN_LOCATION)
 */
function oracleSettings({ directory }: ReadableFile): ReaderSettings {
  return {
    environment: { TNS_ADMIN: oracleDirectory },
    configuration: {
      directory: oracleDirectory,
      files: {
        "sqlnet.ora": `TOKEN_AUTH=OAUTH\nTOKEN_LOCATION="${directory}"\nSSL_SERVER_DN_MATCH=ON\n`,
      },
    },
    notes: [
      "Oracle reads the token from the file `token` in TOKEN_LOCATION (clients from 19.15 or 21.7 on, PROTOCOL=TCPS). Put your",
      "tnsnames.ora beside sqlnet.ora in the ConfigMap. If the file `token` is not for Oracle, remove the ConfigMap and TNS_ADMIN.",
    ],
    warnings: [],
  };
}

const oracleDirectory = "/etc/oracle/network";

/** https://docs.oracle.com/iaas/Content/API/SDKDocs/clitoken.htm */
function ociSettings({ output }: ReadableFile, path: string, files: readonly ReadableFile[]): ReaderSettings {
  const { keyFile, securityTokenFile, profile } = output.options;
  const mounted = new Set(files.map(({ directory, name }) => `${directory}/${name}`));
  const lost = [keyFile, securityTokenFile].filter(
    (named) => typeof named === "string" && !mounted.has(named),
  );
  return {
    environment: {
      OCI_CLI_CONFIG_FILE: path,
      OCI_CONFIG_FILE: path,
      OCI_CLI_AUTH: "security_token",
      ...(typeof profile === "string" ? { OCI_CLI_PROFILE: profile } : {}),
      // The driver's files are behind symbolic links, which the CLI takes for files that everybody may read.
      OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING: "True",
    },
    notes: [
      "Key and token of the OCI session come from one mount, which is switched as a whole: they always belong together.",
    ],
    warnings: lost.map(
      (named) =>
        `The profile in ${output.secret} names ${String(named)}, which is not in the mount: set keyFile and securityTokenFile to files of the mount.`,
    ),
  };
}

/** `POSTGRES_MCP_URI` of `postgres-mcp-uri`. */
export function variableName(text: string): string {
  return text
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^(?=\d)/, "_");
}
