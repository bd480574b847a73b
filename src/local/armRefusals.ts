import { Refusal } from "./service.ts";

/*
 * The error bodies of the resource manager and of Container Apps. Codes and sentences are those that the service has been
 * seen to answer (recordings of the Azure SDKs and CLI, and reports in their trackers), except where a comment says
 * otherwise.
 */

export interface ArmCaller {
  readonly objectId: string;
  readonly clientId: string;
}

export function armError(code: string, message: string): unknown {
  return { error: { code, message } };
}

export function unauthenticated(authority: string, code: string, message: string): Refusal {
  return refuse(401, code, message, {
    "www-authenticate": `Bearer authorization_uri="${authority}", error="invalid_token", error_description="${message}"`,
  });
}

export function missingApiVersion(): Refusal {
  return refuse(
    400,
    "MissingApiVersionParameter",
    "The api-version query parameter (?api-version=) is required for all requests.",
  );
}

export function notAuthorized(caller: ArmCaller, action: string, scope: string): Refusal {
  return refuse(
    403,
    "AuthorizationFailed",
    `${nameOf(caller)} does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
  );
}

/** The caller may write the resource, but not use another one that the resource is tied to. */
export function linkedNotAuthorized(
  caller: ArmCaller,
  own: { action: string; scope: string },
  linked: { action: string; scope: string },
): Refusal {
  return refuse(
    403,
    "LinkedAuthorizationFailed",
    `${nameOf(caller)} has permission to perform action '${own.action}' on scope '${own.scope}'; however, it does not have permission to perform action(s) '${linked.action}' on the linked scope(s) '${linked.scope}' (respectively) or the linked scope(s) are invalid.`,
  );
}

export function resourceNotFound(type: string, name: string, group: string): Refusal {
  return refuse(
    404,
    "ResourceNotFound",
    `The Resource 'Microsoft.App/${type}/${name}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}

/** The code is known from reports; the sentence is our own. */
export function revisionNotFound(revision: string): Refusal {
  return refuse(404, "RevisionNotFound", `Revision '${revision}' was not found.`);
}

/** What the service answers to a restart of a revision that is not active is not documented. */
export function revisionInactive(revision: string): Refusal {
  return refuse(400, "RevisionInactive", `Revision '${revision}' is not active.`);
}

export function operationInProgress(name: string): Refusal {
  return refuse(
    409,
    "ContainerAppOperationInProgress",
    `Cannot modify a container app '${name}' because there is an operation in progress by active deployment. Please try again later.`,
  );
}

export function operationFailed(name: string): Refusal {
  return refuse(
    400,
    "ContainerAppOperationError",
    `Failed to provision revision for container app '${name}'. Error details: Operation expired.`,
  );
}

export function secretsWithoutValue(names: readonly string[]): Refusal {
  return refuse(
    400,
    "ContainerAppSecretInvalid",
    `Container app secret(s) with name(s) '${names.join(", ")}' are invalid: value or keyVaultUrl and identity should be provided.`,
  );
}

export function secretNameInvalid(name: string): Refusal {
  return refuse(
    400,
    "ContainerAppSecretInvalid",
    `Invalid secret name '${name}': a value must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character. The length must not be more than 253 characters.`,
  );
}

export function secretNameTwice(name: string): Refusal {
  return refuse(400, "ContainerAppSecretInvalid", `Container app secret name '${name}' is duplicated.`);
}

export function secretRefNotFound(reference: string, container: string): Refusal {
  return refuse(
    400,
    "ContainerAppSecretRefNotFound",
    `SecretRef '${reference}' defined for container '${container}' not found.`,
  );
}

/** The sentence is known from reports; the code is the one of other faults of secrets. */
export function secretNotResolved(name: string, identity: string): Refusal {
  return refuse(
    400,
    "ContainerAppSecretInvalid",
    `Field 'configuration.secrets' is invalid with details: 'Invalid value: "${name}": Unable to get value using Managed identity ${identity} for secret ${name}.'`,
  );
}

/** The limits are documented; the sentences are our own. */
export function tagsInvalid(why: string): Refusal {
  return refuse(400, "InvalidTag", why);
}

export function revisionSuffixInUse(name: string): Refusal {
  return refuse(400, "RevisionSuffixAlreadyExists", `Revision with name '${name}' already exists.`);
}

export function invalidRequestContent(): Refusal {
  return refuse(
    400,
    "InvalidRequestContent",
    "The request content was invalid and could not be deserialized.",
  );
}

function nameOf({ clientId, objectId }: ArmCaller): string {
  return `The client '${clientId}' with object id '${objectId}'`;
}

function refuse(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  return new Refusal({ status, headers, body: armError(code, message) });
}
