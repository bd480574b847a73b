import { dirname, join } from "node:path";
import type { PullTarget } from "./targets.ts";

/** The variables by which programs find the files of these targets, where they would not look by themselves. */
export function readerEnvironment(targets: readonly PullTarget[]): Readonly<Record<string, string>> {
  return Object.assign({}, ...targets.map(variablesOf)) as Record<string, string>;
}

function variablesOf({ file, path }: PullTarget): Readonly<Record<string, string>> {
  switch (file.kind) {
    case "pgpass":
      return { PGPASSFILE: path };
    case "oci-session": {
      const configuration = join(dirname(dirname(path)), "config");
      // https://docs.oracle.com/iaas/Content/API/SDKDocs/clienvironmentvariables.htm
      return {
        OCI_CLI_CONFIG_FILE: configuration,
        OCI_CLI_PROFILE: file.profile,
        OCI_CLI_AUTH: "security_token",
      };
    }
    case "file":
    case "dotenv":
      return {};
  }
}
