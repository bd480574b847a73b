import { createPrivateKey } from "node:crypto";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { RotatorError } from "../errors.ts";
import type { FormatPlugin } from "../plugins.ts";
import type { Token } from "../ports.ts";
import type { SecretValue } from "../secretValue.ts";
import { companionOf, formatProblems, rendered } from "./rendering.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("private-key")
      .describe("The private key that belongs to the token, as PKCS#8 PEM: the key_file of an OCI session."),
  }),
);

export const privateKey: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async () => ({
    render: (token) => rendered(privateKeyPem(token), "application/x-pem-file"),
  }),
};

/**
 * The token's companion `privateKey` as PKCS#8 PEM, whichever PEM the source gave.
 * @throws RotatorError `FormatFieldMissing`, `FormatKeyInvalid`
 */
export function privateKeyPem(token: Token): string {
  const key = companionOf(token, "privateKey");
  const known = laidOut.get(key);
  if (known !== undefined) {
    return known;
  }
  try {
    const pem = createPrivateKey(key.reveal()).export({ type: "pkcs8", format: "pem" }).toString();
    laidOut.set(key, pem);
    return pem;
  } catch (cause) {
    throw new RotatorError(formatProblems.FormatKeyInvalid, { cause });
  }
}

/** Several outputs of a rotation hold the same key, and to parse one takes longer than all the rest of a rendering. */
const laidOut = new WeakMap<SecretValue, string>();
