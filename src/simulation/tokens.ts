import { SecretValue } from "../secretValue.ts";

/** The truth about a token that some provider of the simulation has handed out. Milliseconds since the epoch. */
export interface TokenFacts {
  /** Whom it speaks for, in the words of the provider. */
  readonly subject: string;
  readonly issuedAt: number;
  /** Whole seconds. */
  readonly expiresAt: number;
  /** The refresh token that came with it. */
  readonly refreshToken?: string;
}

export interface IssuedToken extends TokenFacts {
  readonly value: SecretValue;
}

const header = base64url({ alg: "none", typ: "JWT" });

/** Tokens that have expired are forgotten after so long. */
const keptMs = 2 * 24 * 60 * 60_000;

/** Every token that was handed out, found again by what the rotator writes beside it. */
export class IssuedTokens {
  readonly #tokens = new Map<string, TokenFacts>();
  #count = 0;

  /** A JSON Web Token without a signature; `claims` are added to those that every token has. */
  issue(
    subject: string,
    issuedAt: number,
    lifetimeMs: number,
    claims: Readonly<Record<string, unknown>> = {},
    refreshToken?: string,
  ): IssuedToken {
    this.#count += 1;
    const expiresAt = Math.floor((issuedAt + lifetimeMs) / 1000) * 1000;
    const body = {
      sub: subject,
      oid: subject,
      ...claims,
      jti: this.#count,
      iat: Math.floor(issuedAt / 1000),
      exp: expiresAt / 1000,
    };
    const value = new SecretValue(`${header}.${base64url(body)}.simulated`);
    const facts = { subject, issuedAt, expiresAt, ...(refreshToken === undefined ? {} : { refreshToken }) };
    this.#tokens.set(value.fingerprint(), facts);
    if (this.#count % 1_000 === 0) {
      this.#forget(issuedAt);
    }
    return { ...facts, value };
  }

  /** By the fingerprint of its text. */
  find(fingerprint: string | undefined): TokenFacts | undefined {
    return fingerprint === undefined ? undefined : this.#tokens.get(fingerprint);
  }

  #forget(now: number): void {
    for (const [fingerprint, { expiresAt }] of this.#tokens) {
      if (expiresAt + keptMs < now) {
        this.#tokens.delete(fingerprint);
      }
    }
  }
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
