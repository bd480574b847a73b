import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { RotatorError } from "../../errors.ts";
import { SecretValue } from "../../secretValue.ts";
import { contentProblems } from "./contentProblems.ts";
import type { FileOfSet } from "./replaceTogether.ts";

export interface SessionParts {
  readonly token: SecretValue;
  /** Unencrypted, PEM. */
  readonly key: SecretValue;
}

export interface Session {
  readonly files: readonly FileOfSet[];
  /** Of the public key, as OCI names keys. */
  readonly fingerprint: string;
}

export const sessionFiles = {
  token: "token",
  key: "oci_api_key.pem",
  publicKey: "oci_api_key_public.pem",
} as const;

/**
 * The files of a session as `oci session authenticate` lays them out. The token has no line break at its end: the SDK for
 * TypeScript reads it as it is.
 * @throws RotatorError `ContentUnfit`
 * https://docs.oracle.com/iaas/Content/API/SDKDocs/clitoken.htm
 */
export function sessionOf({ token, key }: SessionParts): Session {
  const text = token.reveal();
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw unfit("token");
  }
  const privateKey = readKey(key);
  const publicKey = createPublicKey(privateKey);
  const digest = createHash("md5")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
  const file = (name: string, content: string | Buffer) => ({
    name,
    content: Buffer.from(content),
    mode: 0o600,
  });
  return {
    files: [
      file(sessionFiles.token, text),
      file(sessionFiles.key, privateKey.export({ type: "pkcs8", format: "pem" })),
      file(sessionFiles.publicKey, publicKey.export({ type: "spki", format: "pem" })),
    ],
    fingerprint: (digest.match(/../g) ?? []).join(":"),
  };
}

/**
 * Takes apart what the format `oci-bundle` makes.
 * @throws RotatorError `ContentUnfit`
 */
export function unbundled(bundle: SecretValue): SessionParts {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bundle.reveal());
  } catch {
    // Not kept as the cause: its message quotes what could not be parsed.
    throw unfit("bundle");
  }
  const { token, privateKey } = (parsed ?? {}) as Record<string, unknown>;
  if (typeof token !== "string" || typeof privateKey !== "string") {
    throw unfit("bundle");
  }
  return { token: new SecretValue(token), key: new SecretValue(privateKey) };
}

function readKey(key: SecretValue): KeyObject {
  try {
    return createPrivateKey(key.reveal());
  } catch {
    throw unfit("key");
  }
}

function unfit(part: string): RotatorError {
  return new RotatorError(contentProblems.ContentUnfit, { facts: { kind: "oci-session", part } });
}
