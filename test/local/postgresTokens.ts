import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { createCertificateAuthority } from "../../src/local/certificateAuthority.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/local/postgres.ts";
import { tokenLogin } from "../../src/local/postgresLogin.ts";
import { hours } from "../builders.ts";
import { VirtualClock } from "../virtualClock.ts";

export const audience = "https://ossrdbms-aad.database.windows.net";
/** A database user, and the object id of the identity whose tokens log it in. */
export const user = "svc@example.org";
export const objectId = "1c3b0b4e-0000-4000-8000-000000000001";

export interface TokenPostgres extends AsyncDisposable {
  readonly server: EmbeddedPostgres;
  readonly clock: VirtualClock;
  /** PEM of the authority to trust. */
  readonly authority: string;
  /** A token that the server takes for an hour from now, unless claims or key are changed. */
  sign(changed?: { claims?: Record<string, unknown>; foreignKey?: boolean }): Promise<string>;
}

/** An embedded PostgreSQL and the issuer whose tokens it takes. */
export async function startTokenPostgres(): Promise<TokenPostgres> {
  const clock = new VirtualClock();
  const [authority, signing, foreign] = await Promise.all([
    createCertificateAuthority(),
    generateKeyPair("ES256"),
    generateKeyPair("ES256"),
  ]);
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(signing.publicKey)), alg: "ES256" }] });
  const server = await startEmbeddedPostgres({
    clock,
    tls: authority.leaf,
    verify: tokenLogin({
      clock,
      keys,
      audience,
      issuer: "https://issuer.example.org",
      principals: { [user]: objectId },
    }),
  });
  return {
    server,
    clock,
    authority: authority.certificatePem,
    sign: ({ claims = {}, foreignKey = false } = {}) =>
      new SignJWT({
        iss: "https://issuer.example.org",
        aud: audience,
        oid: objectId,
        sub: objectId,
        nbf: clock.now() / 1000,
        exp: (clock.now() + hours) / 1000,
        ...claims,
      })
        .setProtectedHeader({ alg: "ES256" })
        .sign(foreignKey ? foreign.privateKey : signing.privateKey),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
