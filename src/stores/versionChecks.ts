import { RotatorError } from "../errors.ts";
import type { NewVersion } from "../ports.ts";
import { vaultProblems } from "./keyVaultErrors.ts";

/*
 * Key Vault's published limits (learn.microsoft.com/azure/key-vault/secrets/about-secrets), checked before a call: the
 * vault answers all of them with the same "Property has invalid value".
 */

const mostBytes = 25 * 1024;
const mostTags = 15;
const longestTag = 512;
const longestContentType = 255;
/** `@azure/keyvault-secrets` 4.12.0 cuts the seconds to 32 bits with a sign: one more is a date in 1901. */
const latestExpirySeconds = 2 ** 31 - 1;

/** @throws RotatorError `SecretNameInvalid` */
export function checkName(name: string): void {
  if (!/^[0-9a-zA-Z-]{1,127}$/.test(name)) {
    // Not in the facts: what is no name may be a secret in the wrong place.
    throw new RotatorError(vaultProblems.SecretNameInvalid, { facts: { length: name.length } });
  }
}

/** @throws RotatorError `SecretTooLarge`, `SecretPropertiesInvalid`, `ExpiryOutOfRange` */
export function checkVersion(secret: string, { value, contentType, expiresOn, tags }: NewVersion): void {
  const bytes = value.byteLength;
  if (bytes > mostBytes) {
    throw new RotatorError(vaultProblems.SecretTooLarge, { facts: { secret, bytes, most: mostBytes } });
  }
  if (contentType.length > longestContentType) {
    throw invalid({ secret, contentTypeLength: contentType.length, most: longestContentType });
  }
  checkTags(secret, tags);
  if (expiresOn !== undefined) {
    const seconds = Math.floor(expiresOn.getTime() / 1000);
    // An invalid date compares as false.
    if (!(seconds > 0 && seconds <= latestExpirySeconds)) {
      throw new RotatorError(vaultProblems.ExpiryOutOfRange, { facts: { secret } });
    }
  }
}

/** @throws RotatorError `SecretPropertiesInvalid` */
export function checkTags(secret: string, tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags);
  if (entries.length > mostTags) {
    throw invalid({ secret, tags: entries.length, most: mostTags });
  }
  for (const [tag, text] of entries) {
    if (tag.length === 0 || tag.length > longestTag || text.length > longestTag) {
      throw invalid({
        secret,
        tag: tag.slice(0, 64),
        length: Math.max(tag.length, text.length),
        most: longestTag,
      });
    }
  }
}

function invalid(facts: Record<string, string | number>): RotatorError {
  return new RotatorError(vaultProblems.SecretPropertiesInvalid, { facts });
}
