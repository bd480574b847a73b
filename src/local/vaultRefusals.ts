import { Refusal } from "./service.ts";

/*
 * The error bodies of Key Vault's data plane. Codes and sentences are those that the service has been seen to answer
 * (recordings of the Azure SDKs and reports in their trackers), except where a comment says otherwise.
 */

export function secretNotFound(name: string, version?: string): Refusal {
  const id = version === undefined ? name : `${name}/${version}`;
  return refuse(
    404,
    "SecretNotFound",
    `A secret with (name/id) ${id} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182`,
  );
}

export function deletedSecretNotFound(name: string): Refusal {
  return refuse(404, "SecretNotFound", `Deleted Secret not found: ${name}`);
}

export function secretDisabled(): Refusal {
  return refuse(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled");
}

export function beingDeleted(name: string): Refusal {
  return refuse(
    409,
    "Conflict",
    `Secret ${name} is currently being deleted and cannot be re-created; retry later.`,
    "ObjectIsBeingDeleted",
  );
}

export function deletedButRecoverable(name: string): Refusal {
  return refuse(
    409,
    "Conflict",
    `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.`,
    "ObjectIsDeletedButRecoverable",
  );
}

export function beingRecovered(name: string): Refusal {
  return refuse(
    409,
    "Conflict",
    `Secret ${name} is currently being recovered and cannot be re-created; retry later.`,
    "ObjectIsBeingRecovered",
  );
}

/** The service says no more than this of a value, tag or content type that is over a limit. */
export function invalidProperty(): Refusal {
  return refuse(400, "BadParameter", "Property has invalid value\r\n");
}

export function invalidName(name: string): Refusal {
  return refuse(400, "BadParameter", `The request URI contains an invalid name: ${name}`);
}

/** The sentence is our own. */
export function invalidParameter(name: string): Refusal {
  return refuse(400, "BadParameter", `The query parameter ${name} has an invalid value.`);
}

/** The sentence is our own. */
export function apiVersionMissing(): Refusal {
  return refuse(400, "BadParameter", "api-version must be specified");
}

export function apiVersionUnknown(version: string): Refusal {
  return refuse(
    400,
    "BadParameter",
    `The specified version (${version}) is not recognized. Consider using the latest supported version (2026-04-01).`,
  );
}

/** That it is refused is documented; code and sentence are our own. */
export function tooManyVersionsForBackup(name: string): Refusal {
  return refuse(400, "BadParameter", `Secret ${name} has more than 500 versions and cannot be backed up.`);
}

export function throttled(): Refusal {
  return refuse(429, "Throttled", "Request was not processed because too many requests were received.");
}

export interface ForbiddenDetails {
  readonly clientId: string;
  readonly objectId: string;
  readonly issuer: string;
  readonly action: string;
  readonly vault: string;
  /** Absent for what concerns the vault as a whole. */
  readonly secret?: string;
}

export function forbiddenByRbac(details: ForbiddenDetails): Refusal {
  const resource = `/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/local/providers/microsoft.keyvault/vaults/${details.vault}`;
  const lines = [
    "Caller is not authorized to perform action on resource.",
    "If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.",
    `Caller: appid=${details.clientId};oid=${details.objectId};iss=${details.issuer}`,
    `Action: '${details.action}'`,
    `Resource: '${resource}${details.secret === undefined ? "" : `/secrets/${details.secret}`}'`,
    "Assignment: (not found)",
    "DenyAssignmentId: null",
    "DecisionReason: null ",
    `Vault: ${details.vault};location=local`,
    "",
  ];
  return refuse(403, "Forbidden", lines.join("\r\n"), "ForbiddenByRbac");
}

/**
 * The challenge that tells a client where to get a token and for what. `resource` has no trailing slash, and a token for
 * the resource with one is refused.
 */
export function unauthorized(authority: string, message: string): Refusal {
  return new Refusal({
    status: 401,
    headers: {
      "www-authenticate": `Bearer authorization="${authority}", resource="https://vault.azure.net"`,
    },
    body: vaultError("Unauthorized", message),
  });
}

export function vaultError(code: string, message: string, innerCode?: string) {
  return {
    error: { code, message, ...(innerCode === undefined ? {} : { innererror: { code: innerCode } }) },
  };
}

function refuse(status: number, code: string, message: string, innerCode?: string): Refusal {
  return new Refusal({ status, body: vaultError(code, message, innerCode) });
}
