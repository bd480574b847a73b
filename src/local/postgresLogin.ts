import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Clock } from "../ports.ts";

/** Decides on a login. @throws LoginRefused */
export type VerifyLogin = (user: string, password: string) => Promise<void>;

/**
 * Why a login is refused, in the words that Azure Database for PostgreSQL uses for its Entra ID logins. SQLSTATE 28P01
 * (invalid_password) is what PostgreSQL itself gives for a wrong password; which one Azure gives with these words is not
 * documented, so that nothing should depend on more than its class, 28.
 */
export class LoginRefused extends Error {
  override readonly name = "LoginRefused";
  readonly sqlState: string;

  constructor(message: string, sqlState = "28P01") {
    super(message);
    this.sqlState = sqlState;
  }

  static expired(): LoginRefused {
    return new LoginRefused("The access token has expired. Please acquire a new token and retry.");
  }

  static malformed(): LoginRefused {
    return new LoginRefused(
      "The access token has invalid format. Please ensure the token is passed exactly as returned by the authentication endpoint and retry.",
    );
  }

  static audience(expected: string): LoginRefused {
    return new LoginRefused(
      `The access token does not have a valid audience claim. Please acquire a new token for the resource "${expected}".`,
    );
  }

  static unspecific(): LoginRefused {
    return new LoginRefused(
      "An error occurred while validating the access token. Please acquire a new token and retry.",
    );
  }

  static otherUser(user: string): LoginRefused {
    return new LoginRefused(`password authentication failed for user "${user}"`);
  }
}

export interface TokenLoginOptions {
  readonly clock: Clock;
  /** The keys that tokens are signed with: `createLocalJWKSet(…)`, `createRemoteJWKSet(…)`. */
  readonly keys: JWTVerifyGetKey;
  readonly audience: string;
  readonly issuer?: string | readonly string[];
  /**
   * Database users, and whose tokens log them in: the `oid` of a token, or its `sub` where it has none. As
   * `pgaadauth_create_principal_with_oid` maps a role to an identity.
   */
  readonly principals: Readonly<Record<string, string>>;
}

/** Takes a signed JWT as password: signature, issuer, audience, lifetime (no leeway) and whose it is. */
export function tokenLogin({ clock, keys, audience, issuer, principals }: TokenLoginOptions): VerifyLogin {
  return async (user, password) => {
    let claims: JWTPayload;
    try {
      const verified = await jwtVerify(password, keys, {
        audience,
        ...(issuer === undefined ? {} : { issuer: [issuer].flat() }),
        currentDate: new Date(clock.now()),
        requiredClaims: ["exp"],
      });
      claims = verified.payload;
    } catch (error) {
      throw refusalOf(error, audience);
    }
    const identity = claims.oid ?? claims.sub;
    if (typeof identity !== "string" || !Object.hasOwn(principals, user) || principals[user] !== identity) {
      throw LoginRefused.otherUser(user);
    }
  };
}

function refusalOf(error: unknown, audience: string): LoginRefused {
  if (error instanceof errors.JWTExpired) {
    return LoginRefused.expired();
  }
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === "aud") {
    return LoginRefused.audience(audience);
  }
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return LoginRefused.malformed();
  }
  return LoginRefused.unspecific();
}
