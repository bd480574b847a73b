import { isIPv6 } from "node:net";
import { defineSchema, type SchemaOutput, type Zod } from "../defineSchema.ts";

/*
 * The address of a database server, and how it is written into a URI.
 */

const label = "[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?";

/** A host name, an IPv4 address, or an IPv6 address without brackets. */
export const host = defineSchema((z) =>
  z
    .string()
    .max(253)
    .regex(new RegExp(`^(?:${label}(?:\\.${label})*|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40})$`), {
      error: "is not a host; write only its name or address, without a scheme, a port or brackets",
      abort: true,
    })
    .refine(
      (text) => !text.includes(":") || isIPv6(text),
      "is not an IPv6 address; a port has a field of its own",
    ),
);

export const port = defineSchema((z) => z.int().min(1).max(65_535));

/** A name that a server knows: of a user or a database. */
export const serverName = defineSchema((z) => printableText(z, 255).min(1));

/** The host as it stands in a URI: an IPv6 address in brackets. */
export function uriHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Connection parameters: the query of a URI. */
export const parameters = defineSchema((z) =>
  z.record(
    z.string().regex(/^[A-Za-z_][0-9A-Za-z_-]{0,62}$/, "is not the name of a parameter"),
    printableText(z, 1024),
  ),
);

/** Complains about parameters that say again what another part of the URI says: readers let them win. */
export function complaintsAboutOverriding(
  given: SchemaOutput<typeof parameters>,
  parts: readonly string[],
): { path: string[]; message: string }[] {
  return Object.keys(given)
    .filter((name) => parts.includes(name.toLowerCase()))
    .map((name) => ({
      path: ["parameters", name],
      message: "would override a part of the URI; use the option for that part",
    }));
}

export interface UriParts {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  /** Percent-encoded, without the leading slash. */
  readonly path: string;
  readonly user: string;
  readonly parameters: SchemaOutput<typeof parameters>;
}

/** A connection URI (RFC 3986) that lacks only the password. */
export function connectionUri({ scheme, host, port, path, user, parameters }: UriParts) {
  const login = `${scheme}://${percentEncode(user)}`;
  const query = Object.entries(parameters)
    .map(([name, value]) => `${name}=${percentEncode(value)}`)
    .join("&");
  const server = `${uriHost(host)}:${port}/${path}${query === "" ? "" : `?${query}`}`;
  return (password: string) => `${login}:${percentEncode(password)}@${server}`;
}

/** Everything but the unreserved characters of RFC 3986 percent-encoded, also what `encodeURIComponent` leaves. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Control characters would end the line or the message; half of a surrogate pair cannot be percent-encoded. */
function printableText(z: Zod, maximum: number) {
  return z
    .string()
    .max(maximum)
    .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text), "has a control character in it, or is no valid Unicode");
}
