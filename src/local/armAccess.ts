import { type ArmCaller, linkedNotAuthorized, notAuthorized } from "./armRefusals.ts";

/** A role assignment, with the actions of the role spelled out. */
export interface ArmRoleAssignment {
  /** Object id of the identity. */
  readonly principalId: string;
  /** A resource id, a resource group or a subscription; everything below it is covered. Compared without case. */
  readonly scope: string;
  /** `Microsoft.App/containerApps/read`, or `*` for all. Compared without case. */
  readonly actions: readonly string[];
}

/**
 * Who may do what at the resource manager; evaluated on every request, so that a change takes effect at once. Without
 * assignments (`undefined`) every identity of the tenant may do everything.
 */
export function checkAccess(
  assignments: readonly ArmRoleAssignment[] | undefined,
  caller: ArmCaller,
  action: string,
  scope: string,
): void {
  if (!allows(assignments, caller, action, scope)) {
    throw notAuthorized(caller, action, scope);
  }
}

/** For what a write needs on another resource than the one that is written. */
export function checkLinkedAccess(
  assignments: readonly ArmRoleAssignment[] | undefined,
  caller: ArmCaller,
  own: { readonly action: string; readonly scope: string },
  linked: { readonly action: string; readonly scope: string },
): void {
  if (!allows(assignments, caller, linked.action, linked.scope)) {
    throw linkedNotAuthorized(caller, own, linked);
  }
}

function allows(
  assignments: readonly ArmRoleAssignment[] | undefined,
  caller: ArmCaller,
  action: string,
  scope: string,
): boolean {
  return (
    assignments === undefined ||
    assignments.some(
      (assignment) =>
        assignment.principalId === caller.objectId &&
        covers(assignment.scope, scope) &&
        assignment.actions.some(
          (allowed) => allowed === "*" || allowed.toLowerCase() === action.toLowerCase(),
        ),
    )
  );
}

function covers(assigned: string, scope: string): boolean {
  const [parent, child] = [assigned.toLowerCase().replace(/\/+$/, ""), scope.toLowerCase()];
  return child === parent || child.startsWith(`${parent}/`);
}
