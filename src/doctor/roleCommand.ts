import type { RotatorError } from "../errors.ts";

/** Whom roles are given to: the identity that the checks run as, as far as its token tells. */
export interface Principal {
  readonly objectId: string;
  readonly type: "ServicePrincipal" | "User";
}

/**
 * The command that gives the role which an error says is missing; `undefined` where the error is about something else.
 * For a vault the error names role and scope, for a Container App the resource; the built-in role there allows more than
 * the custom one that the template makes.
 */
export function roleCommand(error: RotatorError, principal: Principal | undefined): string | undefined {
  const { role, scope } = error.facts;
  if (error.code === "VaultForbidden" && typeof role === "string" && typeof scope === "string") {
    // Metadata is listed for the vault as a whole; where that was refused, the error is about the one secret tried instead.
    const isMetadata = error.facts.action === "Microsoft.KeyVault/vaults/secrets/readMetadata/action";
    const onto = vaultScope(isMetadata ? scope.replace(/\/secrets\/.*$/, "") : scope);
    return `${assignment(principal, role, onto)}; roles take effect within minutes`;
  }
  if (error.code === "ConsumerForbidden" && typeof scope === "string") {
    const built = /\/jobs\//i.test(scope) ? "Container Apps Jobs Contributor" : "Container Apps Contributor";
    return `Deploy the template again, which gives the least that is needed, or ${assignment(principal, built, `"${scope}"`)}`;
  }
  return undefined;
}

/** A role that cannot be found out to be missing, because trying it would write. */
export function writeRoleCommand(principal: Principal | undefined, vault: string): string {
  return assignment(principal, "Key Vault Secrets Officer", vaultScope(vault));
}

function assignment(principal: Principal | undefined, role: string, scope: string): string {
  const { objectId = "OBJECT-ID", type = "ServicePrincipal" } = principal ?? {};
  return `az role assignment create --assignee-object-id ${objectId} --assignee-principal-type ${type} --role "${role}" --scope ${scope}`;
}

/** Errors and configurations know a vault's name, not its resource id: `Microsoft.KeyVault/vaults/NAME[/secrets/SECRET]`. */
function vaultScope(scope: string): string {
  const [, vault = "", , secret] = /vaults\/([^/]+)(\/secrets\/([^/]+))?$/.exec(scope) ?? [];
  const name = vault || (new URL(scope).hostname.split(".")[0] ?? "");
  const id = `$(az keyvault show --name ${name} --query id --output tsv)`;
  return secret === undefined ? `"${id}"` : `"${id}/secrets/${secret}"`;
}
