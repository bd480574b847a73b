import type * as zod from "zod";
import { secretName } from "../config/fields.ts";
import { defineSchema, type Zod } from "../defineSchema.ts";
import { userAssignedIdentityId } from "./resourceId.ts";

/** Name of a secret of an app or a job. */
const consumerSecretName = defineSchema((z) =>
  z
    .string()
    .regex(
      /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
      "is not a name that Container Apps takes; use lower-case letters, digits, hyphens and dots (a name, never the secret itself)",
    ),
);

/** What an app and a job are told alike. */
export const deliveryFields = (z: Zod) => ({
  secret: consumerSecretName(z).describe("Name of the app's secret that is kept up to date. It must exist."),
  output: secretName(z).describe("Output of this rotation, by the name of its secret in the vault."),
  mode: z
    .enum(["value", "key-vault-reference"])
    .default("value")
    .describe(
      "value: the rotator sends the value to the app. key-vault-reference: the app reads the version from the vault with its own identity. Default value.",
    ),
  identity: z
    .union([z.literal("system"), userAssignedIdentityId(z)])
    .optional()
    .describe(
      'With key-vault-reference: the app\'s identity that reads the vault, "system" or the resource id of a user-assigned identity that the app carries.',
    ),
});

/** For `.check`: the identity belongs to the references, and to nothing else. */
export function checkIdentity({
  value: { mode, identity },
  issues,
}: {
  readonly value: { readonly mode: string; readonly identity?: string | undefined };
  readonly issues: zod.core.$ZodRawIssue[];
}): void {
  const message =
    mode === "key-vault-reference" && identity === undefined
      ? 'is missing; with key-vault-reference, name the app\'s identity that reads the vault ("system" or a resource id)'
      : mode === "value" && identity !== undefined
        ? "is not used with the mode value; remove it or set the mode to key-vault-reference"
        : undefined;
  if (message !== undefined) {
    issues.push({ code: "custom", path: ["identity"], message, input: identity });
  }
}
