import { hash } from "node:crypto";
import type { SecretProperties } from "../ports.ts";

/**
 * The tags of every version that the rotator writes. They are all that it remembers: the next decision is derived from
 * them, by whichever process makes it. Key Vault allows 15 tags of 512 characters.
 */
export const tagNames = {
  managedBy: "managed-by",
  rotation: "rotation",
  /** Short hash of what decides the content besides the token. */
  spec: "spec",
  /** Fingerprint of the token: equal on all outputs of one mint. */
  token: "token",
  /** Fingerprint of the value as laid out. */
  content: "content",
  /** Makes a write recognisable after its answer was lost; identifies the version to consumers. */
  operation: "operation",
  /** Hash of whom the token speaks for. */
  subject: "subject",
  /** ISO 8601; with the expiry it gives the lifetime. */
  issued: "issued",
  /** How many versions the rotator has written under this name. */
  sequence: "sequence",
  /** ISO 8601, or `forever`: put there by `pause`. */
  pausedUntil: "paused-until",
} as const;

export const manager = "keyvault-token-rotator";

export interface VersionFacts {
  readonly rotation: string;
  readonly spec: string;
  readonly token: string;
  readonly content: string;
  readonly operation: string;
  readonly subject?: string | undefined;
  readonly issuedOn: Date;
  readonly sequence: number;
}

export function versionTags(facts: VersionFacts): Record<string, string> & { operation: string } {
  return {
    [tagNames.managedBy]: manager,
    [tagNames.rotation]: facts.rotation,
    [tagNames.spec]: facts.spec,
    [tagNames.token]: facts.token,
    [tagNames.content]: facts.content,
    operation: facts.operation,
    ...(facts.subject === undefined ? {} : { [tagNames.subject]: subjectHash(facts.subject) }),
    [tagNames.issued]: facts.issuedOn.toISOString(),
    [tagNames.sequence]: String(facts.sequence),
  };
}

/** Whether this version was written by that rotation. */
export function belongsTo(properties: SecretProperties, rotation: string): boolean {
  return properties.tags[tagNames.managedBy] === manager && properties.tags[tagNames.rotation] === rotation;
}

export function subjectHash(subject: string): string {
  return hash("sha256", subject, "hex").slice(0, 32);
}

/** When the token of this version was issued; `undefined` where the tag is missing or not a date. */
export function issuedOn(properties: SecretProperties): number | undefined {
  const time = Date.parse(properties.tags[tagNames.issued] ?? "");
  return Number.isNaN(time) ? undefined : time;
}

export function sequence(properties: SecretProperties): number {
  const count = Number(properties.tags[tagNames.sequence]);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** Until when `pause` asked to leave this secret alone: milliseconds since the epoch, Infinity, or `undefined`. */
export function pausedUntil(properties: SecretProperties): number | undefined {
  const text = properties.tags[tagNames.pausedUntil];
  if (text === undefined) {
    return undefined;
  }
  const time = Date.parse(text);
  // A pause that cannot be read is still a pause: going on would do what somebody asked not to be done.
  return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time;
}
