import { defineSchema } from "../defineSchema.ts";
import { isLoopback } from "../loopback.ts";

/** Whether a secret may be sent there: https, or http that stays on this machine. */
export function isSafeForSecrets(url: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url));
}

const loopback = "(?:(?:[0-9a-zA-Z-]+\\.)*localhost|127(?:\\.\\d{1,3}){3}|\\[::1\\])";
const origin = `(?:https://[^\\s/?#@\\\\]+|http://${loopback}(?::\\d{1,5})?)`;

/** An issuer or an endpoint. Its spelling is kept: issuers are compared letter by letter. */
export const endpointUrl = defineSchema((z) =>
  z
    .string()
    .regex(new RegExp(`^${origin}(?:[/?][^\\s#]*)?$`), {
      error:
        "is not the address of a provider; write https://HOST/PATH without a user or a fragment (http only for a loopback host)",
      abort: true,
    })
    .refine(URL.canParse, "is not the address of a provider; the host or the port cannot be read"),
);

/** A host that paths are added to. */
export const hostUrl = defineSchema((z) =>
  z
    .string()
    .regex(new RegExp(`^${origin}$`), {
      error:
        "is not the address of a host; write https://HOST without a path, a query or a slash at the end (http only for a loopback host)",
      abort: true,
    })
    .refine(URL.canParse, "is not the address of a host; the host or the port cannot be read"),
);
