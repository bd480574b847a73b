import { createPublicKey, type JsonWebKey, randomUUID } from "node:crypto";
import type { JWTPayload } from "jose";
import type { Issuer } from "./issuer.ts";
import type { FederatedCredential, RegisteredClient } from "./oauthClients.ts";
import { type OAuthServer, type OAuthServerHost, startOAuthServer } from "./oauthServer.ts";
import { type Call, formBody, type Reply } from "./service.ts";

export interface OciOptions {
  /** Default an ephemeral port. */
  readonly port?: number;
  /** Confidential applications; one without a secret is public. */
  readonly clients: readonly Pick<RegisteredClient, "clientId" | "secret">[];
  /** The identity propagation trusts: whose tokens may be exchanged. */
  readonly trusts: readonly FederatedCredential[];
  /** Verifies the tokens of those issuers. */
  readonly federation: Pick<Issuer, "verify">;
  /** What a session says about its user. Default made-up ones. */
  readonly user?: string;
  readonly tenancy?: string;
}

/** An identity domain of Oracle Cloud Infrastructure, as far as it exchanges tokens for sessions. */
export interface EmbeddedOci {
  /** The domain's URL without a trailing slash. */
  readonly url: string;
  readonly tenancy: string;
  /** Seconds that a session lives. Default 1 hour. */
  sessionLifetime: number;
  /** Sessions end at this moment (milliseconds since the epoch) however often they are asked for; `undefined` for none. */
  sessionsEndAt: number | undefined;
  /**
   * Checks signature and lifetime of a session; its claim `jwk` is the public key that it is bound to.
   * @param now Milliseconds since the epoch.
   * @throws TokenRefused
   */
  verify(session: string, now: number): Promise<JWTPayload>;
}

const issuer = "authService.oracle.com";
const audience = "oci";

/**
 * Starts the domain. Clients and subject tokens are checked by an ordinary authorization server; the session takes the
 * place of its answer (https://docs.oracle.com/iaas/Content/Identity/api-getstarted/json_web_token_exchange.htm).
 */
export async function startOci(host: OAuthServerHost, options: OciOptions): Promise<EmbeddedOci> {
  const {
    user = "ocid1.user.oc1..local",
    tenancy = "ocid1.tenancy.oc1..local",
    clients,
    trusts,
    federation,
  } = options;
  const server: OAuthServer = await startOAuthServer(host, {
    ...(options.port === undefined ? {} : { port: options.port }),
    name: "oci",
    paths: { authorization: "/oauth2/v1/authorize", token: "/oauth2/v1/token" },
    clients: clients.map((client) => ({ ...client, federated: trusts })),
    federation,
    reshape: (reply, call) => (call.operation === "oci.token" ? answer(reply, call) : reply),
  });
  const oci: EmbeddedOci = {
    url: server.url,
    tenancy,
    sessionLifetime: 3600,
    sessionsEndAt: undefined,
    verify: (session, now) => server.key.verify(session, { issuer, audience, now }),
  };
  return oci;

  async function answer(reply: Reply, call: Call): Promise<Reply> {
    if (reply.status >= 400) {
      return { ...reply, body: { ...(reply.body as object), ecid: randomUUID() } };
    }
    const form = formBody(call);
    if (form.get("requested_token_type") !== "urn:oci:token-type:oci-upst") {
      return refuse("The requested token type is not supported.");
    }
    if (form.get("subject_token_type") !== "jwt") {
      return refuse("The subject token type is not supported.");
    }
    const jwk = publicKeyOf(form.get("public_key") ?? "");
    return jwk === undefined
      ? refuse("The public key is missing or malformed.")
      : { ...reply, body: { token: await session(call.now(), jwk) } };
  }

  async function session(now: number, jwk: JsonWebKey): Promise<string> {
    const issuedAt = Math.floor(now / 1000);
    const end = oci.sessionsEndAt;
    const expiry = end === undefined ? issuedAt + oci.sessionLifetime : Math.floor(end / 1000);
    return await server.key.sign({
      iss: issuer,
      aud: audience,
      sub: user,
      tenant: tenancy,
      ptype: "user",
      ttype: "upst",
      jti: randomUUID(),
      iat: issuedAt,
      exp: expiry,
      sess_exp: new Date(expiry * 1000).toUTCString(),
      jwk: JSON.stringify({ ...jwk, kid: "upst", alg: "RS256", use: "sig" }),
    });
  }
}

/** Of the base64 of a SubjectPublicKeyInfo in DER; `undefined` where it is something else, a blank for a plus included. */
function publicKeyOf(text: string): JsonWebKey | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    return undefined;
  }
  try {
    const key = createPublicKey({ key: Buffer.from(text, "base64"), format: "der", type: "spki" });
    return key.asymmetricKeyType === "rsa" ? key.export({ format: "jwk" }) : undefined;
  } catch {
    return undefined;
  }
}

function refuse(description: string): Reply {
  return {
    status: 400,
    body: { error: "invalid_request", error_description: description, ecid: randomUUID() },
  };
}
