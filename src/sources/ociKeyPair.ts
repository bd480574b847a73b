import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { problems, RotatorError } from "../errors.ts";
import type { SecretReferenceOption, SourceEnvironment } from "../plugins.ts";
import type { MintContext, StoredSecret } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";

export const keyPairProblems = problems({
  KeyPairUnusable: {
    message: "The secret that should hold the session's key pair holds something else.",
    remedy:
      "Store an unencrypted RSA key of at least 2048 bits in PEM there, or name a secret that does not exist yet; what is there is not overwritten.",
    retryable: false,
  },
});

/** The RSA key pair that a session is bound to. */
export interface KeyPair {
  /** PKCS#8 PEM. */
  readonly privateKey: SecretValue;
  /** Base64 of its SubjectPublicKeyInfo in DER: the PEM without its first and last line and without line breaks. */
  readonly publicKey: string;
  /** MD5 of the public key in DER, as hexadecimal pairs with colons: how OCI names keys. */
  readonly fingerprint: string;
}

export interface KeyPairKeeping {
  readonly reference: SecretReferenceOption;
  /** Age at which the pair is replaced; `undefined` for never. */
  readonly longestAgeMs: number | undefined;
}

type Environment = Pick<SourceEnvironment, "clock" | "secrets" | "leases">;

/**
 * The key pair in the vault. It is kept across renewals, so that a reader who sees a new token beside an old key file still
 * has a pair that works; a new one, made where there is none, on demand or after its time, is stored before it is used.
 *
 * @throws RotatorError `KeyPairUnusable`, `LeaseHeld`; of the vault.
 */
export async function keyPair(
  { reference, longestAgeMs }: KeyPairKeeping,
  { clock, secrets, leases }: Environment,
  context: MintContext,
): Promise<KeyPair> {
  const stored = await secrets.find(reference, context);
  // Before it is replaced, too: whatever else lies there is not for us to overwrite.
  const pair = stored === undefined ? undefined : readPair(stored.value);
  const isDue =
    context.forced || (longestAgeMs !== undefined && clock.now() - createdOn(stored) >= longestAgeMs);
  if (pair !== undefined && !isDue) {
    return pair;
  }
  const { vault, secret } = secrets.resolve(reference);
  return await leases.hold(`${new URL(vault).host}/${secret}`.toLowerCase(), context, async () => {
    const current = await secrets.find(reference, context);
    if (current !== undefined && current.properties.version !== stored?.properties.version) {
      // Another run was faster.
      return readPair(current.value);
    }
    const privateKey = await newKey();
    await secrets.keep(reference, { value: privateKey, contentType: "application/x-pem-file" }, context);
    return readPair(privateKey);
  });
}

function createdOn(stored: StoredSecret | undefined): number {
  return stored?.properties.createdOn?.getTime() ?? Number.POSITIVE_INFINITY;
}

/** Session keys are RSA; Oracle's SDKs make them with 2048 bits. */
const bits = 2048;

async function newKey(): Promise<SecretValue> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: bits });
  return new SecretValue(pem(privateKey));
}

function readPair(stored: SecretValue): KeyPair {
  const key = readKey(stored);
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  const digest = createHash("md5").update(publicKey).digest("hex");
  return {
    privateKey: new SecretValue(pem(key)),
    publicKey: publicKey.toString("base64"),
    fingerprint: (digest.match(/../g) ?? []).join(":"),
  };
}

function readKey(stored: SecretValue): KeyObject {
  try {
    const key = createPrivateKey(stored.reveal());
    if (key.asymmetricKeyType !== "rsa" || (key.asymmetricKeyDetails?.modulusLength ?? 0) < bits) {
      throw new RangeError("The key is of another kind.");
    }
    return key;
  } catch (cause) {
    throw new RotatorError(keyPairProblems.KeyPairUnusable, { cause });
  }
}

function pem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
