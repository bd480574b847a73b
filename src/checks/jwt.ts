import { decodeProtectedHeader } from "jose/decode/protected_header";
import { decodeJwt as decodeClaims } from "jose/jwt/decode";
import type { SecretValue } from "../secretValue.ts";

/** What a JWT says about itself. Nobody has verified it: good to compare and to lay out, never to decide whom to trust. */
export interface DecodedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** `undefined` for every token that is not a readable JWT: an opaque one, an encrypted one, a damaged one. */
export function decodeJwt(token: SecretValue): DecodedJwt | undefined {
  const known = decoded.get(token);
  if (known !== undefined) {
    return known;
  }
  const jwt = decode(token.reveal());
  if (jwt !== undefined) {
    decoded.set(token, jwt);
  }
  return jwt;
}

/** The checks, the subject and some formats each look into the same token. */
const decoded = new WeakMap<SecretValue, DecodedJwt>();

function decode(text: string): DecodedJwt | undefined {
  try {
    return {
      header: { ...decodeProtectedHeader(text) },
      claims: decodeClaims(text),
    };
  } catch {
    return undefined;
  }
}
