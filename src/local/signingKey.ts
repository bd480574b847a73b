import {
  calculateJwkThumbprint,
  errors,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from "jose";
import { type TokenRefusal, TokenRefused } from "./issuer.ts";

/** What an embedded provider other than Entra signs its tokens with. ES256, because such keys are made in no time. */
export interface SigningKey {
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
  sign(claims: JWTPayload): Promise<string>;
  /**
   * Checks signature, issuer, audience and lifetime, with no leeway.
   * @param now Milliseconds since the epoch.
   * @throws TokenRefused
   */
  verify(
    token: string,
    expected: { readonly issuer: string; readonly audience: string; readonly now: number },
  ): Promise<JWTPayload>;
}

export async function createSigningKey(): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const plain = await exportJWK(publicKey);
  const named = { kid: await calculateJwkThumbprint(plain), alg: "ES256", use: "sig" };
  return {
    publicJwk: { ...plain, ...named },
    privateJwk: { ...(await exportJWK(privateKey)), ...named },
    sign: (claims) =>
      new SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "JWT", kid: named.kid }).sign(privateKey),
    verify: async (token, { issuer, audience, now }) => {
      try {
        const { payload } = await jwtVerify(token, publicKey, {
          algorithms: ["ES256"],
          issuer,
          audience,
          currentDate: new Date(now),
          requiredClaims: ["exp", "sub"],
        });
        return payload;
      } catch (error) {
        throw new TokenRefused(refusalOf(error));
      }
    },
  };
}

function refusalOf(error: unknown): TokenRefusal {
  if (error instanceof errors.JWTExpired) {
    return "expired";
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return "signature";
  }
  const claim = error instanceof errors.JWTClaimValidationFailed ? error.claim : "";
  return claim === "iss" ? "issuer" : claim === "aud" ? "audience" : "malformed";
}
