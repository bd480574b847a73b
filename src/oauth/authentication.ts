import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { importPKCS8 } from "jose/key/import";
import * as oauth from "oauth4webapi";
import { RotatorError } from "../errors.ts";
import type { CallContext } from "../ports.ts";
import type { SecretValue } from "../secretValue.ts";
import type { AssertionAlgorithm } from "./algorithms.ts";
import { oauthProblems } from "./problems.ts";

/** Reads a secret when it is needed, so that a new version of it counts at the next request. */
export type SecretLoader = (context: CallContext) => Promise<SecretValue>;

/** How a client proves who it is. Made once; called anew for each request. */
export type ClientAuthentication = (context: CallContext) => Promise<oauth.ClientAuth>;

/** A public client sends its id and nothing else: a secret would be refused (AADSTS700025). */
export const publicClient: ClientAuthentication = async () => oauth.None();

/** No client at all: the provider knows the caller by the token that it offers. */
export const noClient: ClientAuthentication = async () => () => {};

/** `client_secret_post`: id and secret in the form. */
export function clientSecretPost(load: SecretLoader): ClientAuthentication {
  return async (context) => oauth.ClientSecretPost(await text(load, context));
}

/**
 * `client_secret_basic`: id and secret in the Authorization header, each form-encoded first (RFC 6749, section 2.3.1).
 *
 * oauth4webapi would also encode `-`, `.` and `_`. That is right, but a server that forgets to decode then refuses every
 * client whose id is a GUID; encoded as `URLSearchParams` does it, such ids pass either way.
 */
export function clientSecretBasic(load: SecretLoader): ClientAuthentication {
  return async (context) => {
    const secret = await text(load, context);
    return (_server, client, _body, headers) => {
      const pair = `${formEncode(client.client_id)}:${formEncode(secret)}`;
      headers.set("authorization", `Basic ${Buffer.from(pair, "utf8").toString("base64")}`);
    };
  };
}

export interface PrivateKeyOptions {
  /** Default: `RS256` for an RSA key, what fits its curve for another. */
  readonly algorithm?: AssertionAlgorithm | undefined;
  /** `kid` in the assertion's header, where the provider holds several keys. */
  readonly keyId?: string | undefined;
}

/**
 * `private_key_jwt` (RFC 7523). The secret is a PEM with an unencrypted private key. Where it also holds the certificate,
 * as the secret of a Key Vault certificate does, its thumbprint goes along (`x5t#S256`): Entra finds the key by that.
 */
export function privateKeyJwt(load: SecretLoader, options: PrivateKeyOptions): ClientAuthentication {
  return async (context) => {
    const pem = (await load(context)).reveal();
    const { key, thumbprint } = await readKey(pem, options.algorithm);
    return oauth.PrivateKeyJwt(options.keyId === undefined ? key : { key, kid: options.keyId }, {
      [oauth.modifyAssertion]: (header) => {
        if (thumbprint !== undefined) {
          header["x5t#S256"] = thumbprint;
        }
      },
    });
  };
}

/** A token of another issuer as the client's assertion, such as that of a managed identity (federated credential). */
export function federatedAssertion(load: SecretLoader): ClientAuthentication {
  return async (context) => {
    const assertion = await text(load, context);
    return (_server, client, body) => {
      body.set("client_id", client.client_id);
      body.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
      body.set("client_assertion", assertion);
    };
  };
}

/** A secret stored from a file often ends with the file's line break, which is never a part of it. */
async function text(load: SecretLoader, context: CallContext): Promise<string> {
  return (await load(context)).reveal().replace(/\r?\n$/, "");
}

function formEncode(value: string): string {
  return new URLSearchParams({ "": value }).toString().slice(1);
}

async function readKey(
  pem: string,
  wanted: AssertionAlgorithm | undefined,
): Promise<{ key: oauth.CryptoKey; thumbprint: string | undefined }> {
  try {
    const key = createPrivateKey(pem);
    const { namedCurve, modulusLength = leastRsaBits } = key.asymmetricKeyDetails ?? {};
    if (modulusLength < leastRsaBits) {
      throw new RangeError("The RSA key is too short.");
    }
    const algorithm = wanted ?? defaultAlgorithm(key.asymmetricKeyType, namedCurve);
    const pkcs8 = key.export({ format: "pem", type: "pkcs8" }).toString();
    return { key: await importPKCS8(pkcs8, algorithm), thumbprint: certificateThumbprint(pem) };
  } catch (cause) {
    throw new RotatorError(oauthProblems.ClientKeyUnusable, { cause });
  }
}

/** RFC 7518, section 3.3. */
const leastRsaBits = 2048;

function defaultAlgorithm(type: string | undefined, curve: string | undefined): AssertionAlgorithm {
  if (type === "ed25519") {
    return "Ed25519";
  }
  if (type === "ec") {
    return curve === "secp384r1" ? "ES384" : curve === "secp521r1" ? "ES512" : "ES256";
  }
  return "RS256";
}

function certificateThumbprint(pem: string): string | undefined {
  const [certificate] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(pem) ?? [];
  return certificate === undefined
    ? undefined
    : createHash("sha256").update(new X509Certificate(certificate).raw).digest("base64url");
}
