import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import { attributeOf, rendered, singleLine } from "./rendering.ts";

/**
 * Python's configparser, which the OCI CLI and SDKs read the file with, and other INI parsers do not agree on comments,
 * quotes and escapes within a value; a value without those characters is the same to all of them.
 */
const path = defineSchema((z) =>
  z
    .string()
    .min(1)
    .max(1024)
    .regex(/^(?:~|[A-Za-z]:)?\/[^;#"'=\\]*[^\s;#"'=\\]$/, {
      error:
        "is not a path that every reader of the file understands; begin with /, ~/ or C:/ and leave out ; # = \\ and quotes",
      abort: true,
    })
    .refine((text) => !/\p{Cc}/u.test(text), "has a control character in it"),
);

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("oci-config")
      .describe(
        "A profile of ~/.oci/config that signs requests with a session token (no token and no key in it).",
      ),
    profile: z
      .string()
      .regex(/^[0-9A-Za-z_.-]{1,64}$/, "is not the name of a profile; use letters, digits, - _ and .")
      .default("DEFAULT")
      .describe("Name of the profile. Default DEFAULT."),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/, "is not a region; write its identifier, such as eu-frankfurt-1")
      .describe("Identifier of the region: eu-frankfurt-1."),
    tenancy: z
      .string()
      .regex(
        /^ocid1\.tenancy\.[0-9A-Za-z_.-]{1,200}$/,
        "is not the OCID of a tenancy; it begins with ocid1.tenancy.",
      )
      .describe("OCID of the tenancy."),
    keyFile: path(z).describe("Where the reader finds the private key: /mnt/secrets/oci-session-key."),
    securityTokenFile: path(z).describe(
      "Where the reader finds the session token: /mnt/secrets/oci-session-token.",
    ),
  }),
);

/**
 * The keys are those that `oci session authenticate` writes; a session has no `user`.
 * https://docs.oracle.com/iaas/Content/API/SDKDocs/clitoken.htm
 */
export const ociConfig: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async ({ profile, region, tenancy, keyFile, securityTokenFile }) => ({
    render: (token) => {
      const lines = [
        `[${profile}]`,
        `fingerprint=${singleLine(attributeOf(token, "fingerprint"), "attributes.fingerprint")}`,
        `key_file=${keyFile}`,
        `tenancy=${tenancy}`,
        `region=${region}`,
        `security_token_file=${securityTokenFile}`,
      ];
      return rendered(`${lines.join("\n")}\n`, "text/plain; format=oci-config");
    },
  }),
};
