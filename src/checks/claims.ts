import { problems, RotatorError } from "../errors.ts";
import type { Token } from "../ports.ts";
import { decodeJwt } from "./jwt.ts";

/*
 * The checks on what a token says about itself. Its signature is not verified here: whoever receives the token does that.
 * What is compared are our own expectations with what our own source handed out, to notice a wrong token before it is
 * published.
 */

/** What the operator states about the tokens of a rotation. What is not stated is not checked. */
export interface Expectations {
  /** The claim `iss`, exactly. */
  readonly issuer?: string | undefined;
  /** One of these must be in the claim `aud`, exactly. */
  readonly audience?: string | readonly string[] | undefined;
  /** The claim `tid` of Entra ID, in any case. */
  readonly tenant?: string | undefined;
  /** Whom the token speaks for: what the source says, or the claim `oid`, else `sub`. */
  readonly subject?: string | undefined;
  /** All of these must be in the claim `roles`. */
  readonly roles?: readonly string[] | undefined;
  /** The claim `ver` of Entra ID. */
  readonly version?: "1.0" | "2.0" | undefined;
}

export const claimProblems = problems({
  TokenMalformed: {
    message: "The source handed out a token with a space or another character that no token has.",
    remedy: "Look at what the source returns: the bare token, without a scheme such as Bearer before it.",
    retryable: false,
  },
  ClaimsUnreadable: {
    message: "The token is not a readable JWT, so that its claims cannot be compared with the expected ones.",
    remedy: "Take the expectations out of the configuration if this source hands out opaque tokens.",
    retryable: false,
  },
  TokenExpired: {
    message: "The token's own exp claim is in the past.",
    remedy:
      "Compare the clocks of the provider and of the function app; a cache in front of the source may be stuck.",
    retryable: true,
  },
  TokenNotYetValid: {
    message: "The token is not valid yet, even if the clocks differ by five minutes.",
    remedy: "Compare the clocks of the provider and of the function app.",
    retryable: true,
  },
  IssuerMismatch: {
    message: "The token was issued by another issuer than the expected one.",
    remedy:
      "Compare both in the facts; with Entra ID, version 1 tokens come from https://sts.windows.net/TENANT/ and version 2 ones from https://login.microsoftonline.com/TENANT/v2.0.",
    retryable: false,
  },
  AudienceMismatch: {
    message: "The token is for another audience than the expected one.",
    remedy:
      "Compare both in the facts, a trailing slash included; the scope or resource of the source decides the audience.",
    retryable: false,
  },
  TenantMismatch: {
    message: "The token comes from another tenant than the expected one.",
    remedy: "Compare both in the facts, and check which identity the rotator runs as.",
    retryable: false,
  },
  SubjectUnexpected: {
    message: "The token speaks for another identity than the expected one.",
    remedy: "Compare both in the facts, and check which identity the rotator runs as (AZURE_CLIENT_ID).",
    retryable: false,
  },
  RolesMissing: {
    message: "The token lacks a role that is expected.",
    remedy:
      "Assign the app role to the identity; a managed identity's token carries it once the platform's cache has passed, up to 24 hours later.",
    retryable: false,
  },
  TokenVersionMismatch: {
    message: "The token has another version than the expected one.",
    remedy:
      "Set requestedAccessTokenVersion of the resource's app registration; the caller cannot choose the version.",
    retryable: false,
  },
});

/** What Microsoft's own libraries allow for clocks that differ. */
const clockSkewMs = 5 * 60_000;

/**
 * @param now Milliseconds since the epoch.
 * @throws RotatorError of {@link claimProblems}; every text that a token can hold leads to one or to none.
 */
export function checkClaims(token: Token, expected: Expectations, now: number): void {
  // VSCHAR of RFC 6749, appendix A.12, without the space.
  if (!/^[\x21-\x7e]+$/.test(token.value.reveal())) {
    throw new RotatorError(claimProblems.TokenMalformed);
  }
  const claims = decodeJwt(token.value)?.claims;
  if (claims === undefined) {
    // A source may know whom an opaque token speaks for.
    const { subject, ...others } = expected;
    const readable: Expectations = token.subject === undefined ? expected : others;
    if (Object.values(readable).some((value) => value !== undefined)) {
      throw new RotatorError(claimProblems.ClaimsUnreadable);
    }
  }
  checkTimes(claims ?? {}, now);
  checkExpectations(token, claims ?? {}, expected);
}

/**
 * Whom the token speaks for, in a form that stays the same for all its tokens; `undefined` for a token that does not tell.
 * The tenant stands for the issuer where there is one: version 1 and 2 tokens of one identity have different issuers.
 */
export function subjectOf(token: Token): string | undefined {
  if (token.subject !== undefined) {
    return token.subject;
  }
  const claims = decodeJwt(token.value)?.claims ?? {};
  const identity = identityIn(claims);
  return identity === undefined ? undefined : `${text(claims.tid) ?? text(claims.iss) ?? ""}|${identity}`;
}

type Claims = Readonly<Record<string, unknown>>;

function checkTimes(claims: Claims, now: number): void {
  if (typeof claims.exp === "number" && claims.exp * 1000 <= now) {
    throw new RotatorError(claimProblems.TokenExpired, { facts: { exp: claims.exp } });
  }
  if (typeof claims.nbf === "number" && claims.nbf * 1000 > now + clockSkewMs) {
    throw new RotatorError(claimProblems.TokenNotYetValid, { facts: { nbf: claims.nbf } });
  }
}

function checkExpectations(token: Token, claims: Claims, expected: Expectations): void {
  const { issuer, audience, tenant, subject, roles, version } = expected;
  if (issuer !== undefined && claims.iss !== issuer) {
    throw mismatch("IssuerMismatch", issuer, claims.iss);
  }
  if (audience !== undefined) {
    const wanted = [audience].flat();
    if (!listed(claims.aud).some((one) => wanted.includes(one))) {
      throw mismatch("AudienceMismatch", wanted.join(" "), listed(claims.aud).join(" "));
    }
  }
  if (tenant !== undefined && text(claims.tid)?.toLowerCase() !== tenant.toLowerCase()) {
    throw mismatch("TenantMismatch", tenant, claims.tid);
  }
  if (subject !== undefined) {
    const actual = token.subject ?? identityIn(claims);
    if (actual !== subject) {
      throw mismatch("SubjectUnexpected", subject, actual);
    }
  }
  const missing = (roles ?? []).filter((role) => !listed(claims.roles).includes(role));
  if (missing.length > 0) {
    throw mismatch("RolesMissing", missing.join(" "), listed(claims.roles).join(" "));
  }
  if (version !== undefined && claims.ver !== version) {
    throw mismatch("TokenVersionMismatch", version, claims.ver);
  }
}

/**
 * `oid` first: in Entra ID it is the same for an identity in every application, `sub` is not. `appid` last: a user's token
 * also has one, of the program that the user sat at.
 */
function identityIn(claims: Claims): string | undefined {
  return text(claims.oid) ?? text(claims.sub) ?? text(claims.appid);
}

function mismatch(code: keyof typeof claimProblems, expected: string, actual: unknown): RotatorError {
  // Claims name things; they are shown, but not at whatever length a token holds them.
  return new RotatorError(claimProblems[code], {
    facts: { expected, actual: (text(actual) ?? "").slice(0, 200) },
  });
}

/** A claim that is one text or a list of texts. */
function listed(claim: unknown): readonly string[] {
  return [claim].flat().filter((one) => typeof one === "string");
}

function text(claim: unknown): string | undefined {
  return typeof claim === "string" && claim !== "" ? claim : undefined;
}
