import type { TokenEndpointResponse } from "oauth4webapi";
import { decodeJwt } from "../checks/jwt.ts";
import { type Facts, RotatorError } from "../errors.ts";
import type { Token } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import { malformed } from "./endpoint.ts";
import { oauthProblems } from "./problems.ts";

/** What a token endpoint gave. */
export interface TokenAnswer {
  readonly accessToken: SecretValue;
  readonly expiresOn: Date;
  /** When the request was begun: the lifetime cannot have begun earlier, so the expiry is never told too late. */
  readonly issuedOn: Date;
  /** Absent where the provider sent none: the one that was used stays in force. */
  readonly refreshToken?: SecretValue;
  /** Only where the provider tells (`refresh_token_expires_in`, `refresh_expires_in`). */
  readonly refreshTokenExpiresOn?: Date;
  /** What was granted, where it is said. */
  readonly scope?: string;
  /** `sub` of the ID token, where there is one. */
  readonly subject?: string;
}

/** The access token with its expiry, as a source hands it out. */
export function tokenOf(answer: TokenAnswer): Token {
  return {
    value: answer.accessToken,
    expiresOn: answer.expiresOn,
    issuedOn: answer.issuedOn,
    ...(answer.subject === undefined ? {} : { subject: answer.subject }),
    ...(answer.scope === undefined ? {} : { attributes: { scope: answer.scope } }),
  };
}

/**
 * Reads a checked answer. `expires_in` counts from `startedAt`.
 * @throws RotatorError `ExpiryUnknown`, as `expiryOf`.
 */
export function readAnswer(
  body: TokenEndpointResponse,
  idToken: SecretValue | undefined,
  startedAt: number,
  facts: Facts,
): TokenAnswer {
  const toldExpiry = body.expires_in === undefined ? undefined : startedAt + body.expires_in * 1000;
  const accessToken = new SecretValue(body.access_token);
  const subject = idToken === undefined ? undefined : decodeJwt(idToken)?.claims.sub;
  const refreshSeconds = seconds(body.refresh_token_expires_in) ?? seconds(body.refresh_expires_in);
  return {
    accessToken,
    expiresOn: expiryOf(accessToken, toldExpiry, facts),
    issuedOn: new Date(startedAt),
    ...(body.refresh_token === undefined ? {} : { refreshToken: new SecretValue(body.refresh_token) }),
    ...(refreshSeconds === undefined
      ? {}
      : { refreshTokenExpiresOn: new Date(startedAt + refreshSeconds * 1000) }),
    ...(body.scope === undefined ? {} : { scope: body.scope }),
    ...(typeof subject === "string" ? { subject } : {}),
  };
}

/**
 * When a token expires: the earlier of what the provider told (milliseconds since the epoch) and the token's own `exp`.
 * Nothing is verified.
 * @throws RotatorError `ExpiryUnknown` where there is neither; `TokenAnswerMalformed` where it lies beyond any calendar.
 */
export function expiryOf(token: SecretValue, told: number | undefined, facts: Facts): Date {
  const { exp } = decodeJwt(token)?.claims ?? {};
  const ends = [told, typeof exp === "number" ? exp * 1000 : undefined].filter((end) => end !== undefined);
  if (ends.length === 0) {
    throw new RotatorError(oauthProblems.ExpiryUnknown, { facts, ambiguous: true });
  }
  const expiry = new Date(Math.min(...ends));
  if (Number.isNaN(expiry.getTime())) {
    throw malformed(facts);
  }
  return expiry;
}

/** Keycloak says 0 for a refresh token without an end; so is what ends in the 24th century. */
function seconds(value: unknown): number | undefined {
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && number > 0 && number < 1e10 ? number : undefined;
}
