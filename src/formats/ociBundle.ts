import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import { privateKeyPem } from "./privateKey.ts";
import { attributeOf, rendered, tokenLine } from "./rendering.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("oci-bundle")
      .describe(
        "An OCI session in one secret: JSON with token, privateKey (PKCS#8 PEM) and fingerprint. A reader never sees a new token beside an old key.",
      ),
  }),
);

export const ociBundle: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async () => ({
    render: (token) =>
      rendered(
        JSON.stringify({
          token: tokenLine(token),
          privateKey: privateKeyPem(token),
          fingerprint: attributeOf(token, "fingerprint"),
        }),
        "application/json; format=oci-bundle",
      ),
  }),
};
