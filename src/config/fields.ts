import { defineSchema } from "../defineSchema.ts";
import { durationPattern } from "./duration.ts";

/*
 * The kinds of field that many parts of the configuration share. What they refuse is said as `what was found; how to mend
 * it`, without the value: it may be a secret that was put into the wrong place. Patterns carry no flags, because the
 * published JSON Schema cannot.
 */

/** A duration as text; `parseDuration` gives the milliseconds. */
export const duration = defineSchema((z) =>
  z
    .string()
    .regex(
      durationPattern,
      "is not a duration; write whole units, the largest first, such as 90s, 5m, 1h30m or 2d",
    )
    .meta({ id: "duration", examples: ["90s", "5m", "1h30m", "2d"] }),
);

/** The name of a Key Vault secret. */
export const secretName = defineSchema((z) =>
  z
    .string()
    .regex(
      /^[0-9a-zA-Z-]{1,127}$/,
      "is not a name that Key Vault takes; use 1 to 127 letters, digits and hyphens (a name, never the secret itself)",
    ),
);

const label = "[0-9a-zA-Z](?:[0-9a-zA-Z-]{0,61}[0-9a-zA-Z])?";
const loopback = `(?:(?:${label}\\.){0,3}localhost|127(?:\\.\\d{1,3}){3}|\\[::1\\])`;

const notVault =
  "is not the address of a vault; write https://NAME.vault.azure.net without a path, query, user or port";

/** The origin of a vault. Only a loopback vault, which is an embedded one, has a port. */
export const vaultUrl = defineSchema((z) =>
  z
    .string()
    .regex(new RegExp(`^https://(?:(?:${label}\\.){1,8}[a-zA-Z]{2,24}|${loopback}(?::\\d{1,5})?)/?$`), {
      error: notVault,
      abort: true,
    })
    // Only the URL parser knows that 127.0.0.999 and port 99999 are none.
    .refine((text) => URL.canParse(text), notVault)
    .meta({ id: "vault", examples: ["https://kv-example.vault.azure.net"] }),
);

/** One spelling for one vault: lower case, no trailing slash. The address is one that `vaultUrl` takes. */
export function vaultOrigin(address: string): string {
  return new URL(address).origin;
}

/** A secret that is read from a vault, by name. The value itself never stands in the configuration. */
export const secretReference = defineSchema((z) =>
  z
    .strictObject({
      secret: secretName(z).describe("Name of the Key Vault secret that holds the value."),
      vault: vaultUrl(z)
        .optional()
        .describe("Vault that holds it, where it is not the vault of the configuration."),
    })
    .meta({ id: "secretReference" }),
);
