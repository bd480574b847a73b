import type { Caller } from "./service.ts";
import { forbiddenByRbac } from "./vaultRefusals.ts";

/** The data actions of Azure RBAC on secrets. */
export type SecretAction =
  | `Microsoft.KeyVault/vaults/secrets/${"getSecret" | "setSecret" | "readMetadata" | "update"}/action`
  | `Microsoft.KeyVault/vaults/secrets/${"recover" | "purge" | "backup"}/action`
  | "Microsoft.KeyVault/vaults/secrets/delete";

export interface VaultRoleAssignment {
  /** Object id of the identity. */
  readonly principalId: string;
  readonly actions: readonly SecretAction[];
  /**
   * Names of the secrets that it is limited to, as by a condition on the name or by an assignment at the secrets
   * themselves. Compared with case, as conditions do. Listing the vault needs an assignment without this.
   */
  readonly secrets?: readonly string[] | RegExp;
}

/**
 * Who may do what in a vault; evaluated on every request, so that a change takes effect at once. Without assignments
 * (`undefined`) every identity of the tenant may do everything.
 */
export function checkAccess(
  assignments: readonly VaultRoleAssignment[] | undefined,
  request: { vault: string; caller: Caller; action: SecretAction; secret: string | undefined },
): void {
  const { vault, caller, action, secret } = request;
  const allowed =
    assignments === undefined ||
    assignments.some(
      (assignment) =>
        assignment.principalId === caller.objectId &&
        assignment.actions.includes(action) &&
        covers(assignment.secrets, secret),
    );
  if (!allowed) {
    throw forbiddenByRbac({ ...caller, action, vault, ...(secret === undefined ? {} : { secret }) });
  }
}

function covers(limit: VaultRoleAssignment["secrets"], secret: string | undefined): boolean {
  if (limit === undefined) {
    return true;
  }
  if (secret === undefined) {
    return false;
  }
  return limit instanceof RegExp ? limit.test(secret) : limit.includes(secret);
}
