import type { SecretValue } from "../secretValue.ts";
import { secretNotResolved } from "./armRefusals.ts";
import type { CarriedIdentity } from "./armResource.ts";
import type { ReferenceSecret } from "./armSecrets.ts";
import type { EmbeddedVault } from "./keyVault.ts";
import { checkAccess } from "./vaultAccess.ts";

/**
 * What an app gets when it follows a reference to Key Vault: the vault's secret, as one of the app's own identities.
 * @throws Refusal where there is no such vault or secret, or the identity is not the app's or may not read it.
 */
export function readReference(
  vaults: readonly EmbeddedVault[],
  identities: readonly CarriedIdentity[],
  { name, keyVaultUrl, identity: id }: ReferenceSecret,
  now: number,
): SecretValue {
  const address = new URL(keyVaultUrl);
  const vault = vaults.find(({ url }) => url === address.origin);
  const identity = identities.find((carried) => carried.id.toLowerCase() === id.toLowerCase());
  const [, , secret, version] = address.pathname.split("/");
  if (vault === undefined || identity === undefined || secret === undefined) {
    throw secretNotResolved(name, id);
  }
  checkAccess(vault.assignments, {
    vault: vault.name,
    caller: { objectId: identity.objectId, clientId: identity.objectId, issuer: "" },
    action: "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    secret,
  });
  return vault.secrets.get(secret, version || undefined, now).value;
}
