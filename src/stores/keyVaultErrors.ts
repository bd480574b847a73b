import { type Facts, type Problem, problems, RotatorError } from "../errors.ts";
import { type HeaderSource, retryAfterMs } from "../retryAfter.ts";

export const vaultProblems = problems({
  VaultForbidden: {
    message: "The identity that the rotator runs as may not do this in the vault.",
    remedy:
      "Assign the role in the facts at the scope in the facts, or a custom role with that action, and wait for it to take effect; in a vault with access policies, grant the permission there.",
    retryable: false,
  },
  VaultFirewall: {
    message: "The vault's firewall does not let this machine in.",
    remedy:
      "Give the function app a private endpoint or VNet integration that the vault's network rules allow, or allow its outbound addresses.",
    retryable: false,
  },
  VaultUnauthorized: {
    message: "The vault does not accept the token of the identity that the rotator runs as.",
    remedy:
      "Check that the identity belongs to the vault's tenant, and that the clock of this machine is right.",
    retryable: false,
  },
  VaultChallengeRefused: {
    message: "What answered at the vault's address asks for a token for something else than Key Vault.",
    remedy: "Check the vault's URL in the configuration; only a loopback address may name another resource.",
    retryable: false,
  },
  VaultThrottled: {
    message: "The vault refuses calls because it was sent too many.",
    remedy:
      "Nothing to do when it passes; else find who else calls the vault, or spread the secrets over several vaults (300 new versions in 10 seconds for one vault).",
    retryable: true,
  },
  VaultUnavailable: {
    message: "The vault answered that it cannot serve the call right now.",
    remedy: "Nothing to do when it passes; else look at the health of Key Vault in the vault's region.",
    retryable: true,
  },
  VaultTimeout: {
    message: "The vault did not answer in time.",
    remedy: "Nothing to do when it passes; else check the way from this machine to the vault.",
    retryable: true,
  },
  VaultConnectionLost: {
    message: "The connection to the vault was lost before the answer had come.",
    remedy: "Nothing to do when it passes; else check the way from this machine to the vault.",
    retryable: true,
  },
  VaultUnreachable: {
    message: "No connection to the vault could be made.",
    remedy: "Check the network: proxies, firewalls, private endpoints and their DNS zone.",
    retryable: true,
  },
  VaultNameUnknown: {
    message: "The host name of the vault does not resolve.",
    remedy:
      "Check the vault's URL in the configuration, that the vault exists, and the DNS of its private endpoint if it has one.",
    retryable: false,
  },
  VaultCertificateRefused: {
    message: "The vault's TLS certificate is not trusted.",
    remedy:
      "Where a proxy or an embedded Azure has an authority of its own, start the program with its certificate in NODE_EXTRA_CA_CERTS.",
    retryable: false,
  },
  VaultRefused: {
    message: "The vault refused the call as malformed.",
    remedy: "Report it with the HTTP status in the facts; the last good version is still in the vault.",
    retryable: false,
  },
  VaultAnswerMalformed: {
    message: "What answered at the vault's address did not answer as Key Vault does.",
    remedy: "Check that no proxy or sign-in page stands between this machine and the vault.",
    retryable: true,
  },
  SecretNotFound: {
    message: "The vault has no such secret or version.",
    remedy: "Check the name; after a deletion, recover the secret or let the rotator write it anew.",
    retryable: false,
  },
  SecretDisabled: {
    message: "The secret's version is disabled, so its value cannot be read.",
    remedy: "Enable the version in the vault, or write a new one.",
    retryable: false,
  },
  SecretDeleted: {
    message: "The name is taken by a deleted secret.",
    remedy:
      "Run `az keyvault secret recover --vault-name VAULT --name SECRET` to have it back, or `az keyvault secret purge --vault-name VAULT --name SECRET` to free the name.",
    retryable: false,
  },
  SecretBeingDeleted: {
    message: "The secret is just being deleted, purged or recovered.",
    remedy: "Nothing to do: it takes seconds.",
    retryable: true,
  },
  SecretNameInvalid: {
    message: "Key Vault does not take this name for a secret.",
    remedy: "Use 1 to 127 letters, digits and hyphens.",
    retryable: false,
  },
  SecretTooLarge: {
    message: "The value is larger than Key Vault takes.",
    remedy: "Use a format that holds less, or ask the provider for a token with fewer claims.",
    retryable: false,
  },
  SecretPropertiesInvalid: {
    message: "The content type or the tags are larger than Key Vault takes.",
    remedy: "Shorten what the facts name.",
    retryable: false,
  },
  ExpiryOutOfRange: {
    message: "The expiry cannot be stored: the Key Vault client turns dates after 2038-01-19 into the past.",
    remedy: "Use a source whose tokens expire earlier.",
    retryable: false,
  },
});

/** What a request to the vault is about. */
export interface VaultCall {
  readonly vault: string;
  readonly method: string;
  /** Absent where the call concerns the vault as a whole. */
  readonly secret: string | undefined;
  /** The data action that it needs; the vault's answer cannot be relied on to name it. */
  readonly action: string;
}

/** Reads off the request what it is about: paths are `/secrets[/{name}[/{version}|/versions]]`. */
export function describeCall(method: string, url: string): VaultCall {
  const { origin, pathname } = new URL(url);
  const [, secret, version] = pathname.split("/").filter((segment) => segment !== "");
  const isRead = method === "GET" && secret !== undefined && version !== "versions";
  const action = { PUT: "setSecret", PATCH: "update" }[method] ?? (isRead ? "getSecret" : "readMetadata");
  return { vault: origin, method, secret, action };
}

/** An answer of the vault that is not a success. */
export function answerError(
  call: VaultCall,
  answer: { readonly status: number; readonly headers: HeaderSource; readonly body: string },
): RotatorError {
  const problem = problemOfAnswer(answer.status, answer.body);
  const waitMs = retryAfterMs(answer.headers);
  return new RotatorError(problem, {
    facts: {
      ...factsOf(call),
      httpStatus: answer.status,
      ...(problem === vaultProblems.VaultForbidden ? permissionFacts(call) : {}),
    },
    // A gateway that gives up does not say whether the vault had done it. A 429 is refused before anything is done.
    ambiguous: isWrite(call) && (answer.status >= 500 || answer.status === 408),
    ...(problem.retryable && waitMs !== undefined ? { retryAfterMs: waitMs } : {}),
  });
}

/** A success that is none of Key Vault's: every answer of its own to these calls is JSON. */
export function malformedAnswer(call: VaultCall, status: number): RotatorError {
  return new RotatorError(vaultProblems.VaultAnswerMalformed, {
    facts: { ...factsOf(call), httpStatus: status },
    ambiguous: isWrite(call),
  });
}

/** What an HTTP client throws when there is no answer. An aborted signal is the caller's to tell apart. */
export function connectionError(call: VaultCall, cause: unknown): RotatorError {
  const code = codeOf(cause);
  const problem = problemOfConnection(cause, code);
  return new RotatorError(problem, {
    cause,
    facts: { ...factsOf(call), ...(code === undefined ? {} : { errorCode: code }) },
    ambiguous: isWrite(call) && mayHaveArrived.has(problem),
  });
}

/** What the Key Vault client throws by itself, above the connection. Anything that is not known passes through. */
export function clientError(vault: string, error: unknown): unknown {
  if (error instanceof RotatorError || !(error instanceof Error)) {
    return error;
  }
  const facts = { vault };
  if ((error as { statusCode?: unknown }).statusCode === 401) {
    return new RotatorError(vaultProblems.VaultUnauthorized, { facts, cause: error });
  }
  if (/\bchallenge\b/i.test(error.message)) {
    return new RotatorError(vaultProblems.VaultChallengeRefused, { facts, cause: error });
  }
  if (error.name === "RestError") {
    return new RotatorError(vaultProblems.VaultAnswerMalformed, { facts, cause: error, ambiguous: true });
  }
  return error;
}

function problemOfAnswer(status: number, body: string): Problem {
  switch (status) {
    case 403:
      return problemOfForbidden(body);
    case 404:
      return vaultProblems.SecretNotFound;
    case 409:
      // The inner codes are not documented, the sentences have been seen: either will do.
      return /ObjectIsDeletedButRecoverable|deleted but recoverable/.test(body)
        ? vaultProblems.SecretDeleted
        : vaultProblems.SecretBeingDeleted;
    case 429:
      return vaultProblems.VaultThrottled;
    default:
      return status >= 500 || status === 408 ? vaultProblems.VaultUnavailable : vaultProblems.VaultRefused;
  }
}

function problemOfForbidden(body: string): Problem {
  if (/SecretDisabled|disabled secret/.test(body)) {
    return vaultProblems.SecretDisabled;
  }
  // By address (ForbiddenByFirewall), or because only private connections are let in (ForbiddenByConnection).
  return /ForbiddenByFirewall|ForbiddenByConnection|Client address is not authorized/.test(body)
    ? vaultProblems.VaultFirewall
    : vaultProblems.VaultForbidden;
}

function permissionFacts({ vault, secret, action }: VaultCall): Facts {
  const scope = `Microsoft.KeyVault/vaults/${new URL(vault).hostname.split(".")[0]}`;
  return {
    action: `Microsoft.KeyVault/vaults/secrets/${action}/action`,
    role: narrowestRoles[action] ?? "Key Vault Secrets Officer",
    scope: secret === undefined ? scope : `${scope}/secrets/${secret}`,
  };
}

/** Built-in ones; whatever writes needs the Officer. */
const narrowestRoles: Readonly<Record<string, string>> = {
  getSecret: "Key Vault Secrets User",
  readMetadata: "Key Vault Reader",
};

const neverConnected = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL", "EAI_AGAIN"]);

function problemOfConnection(cause: unknown, code: string | undefined): Problem {
  if (cause instanceof Error && cause.name === "AbortError") {
    return vaultProblems.VaultTimeout;
  }
  if (code === undefined) {
    return vaultProblems.VaultConnectionLost;
  }
  if (code === "ENOTFOUND") {
    return vaultProblems.VaultNameUnknown;
  }
  if (neverConnected.has(code)) {
    return vaultProblems.VaultUnreachable;
  }
  return /CERT|TLS|SSL|ISSUER|SIGNATURE/.test(code)
    ? vaultProblems.VaultCertificateRefused
    : vaultProblems.VaultConnectionLost;
}

const mayHaveArrived: ReadonlySet<Problem> = new Set([
  vaultProblems.VaultTimeout,
  vaultProblems.VaultConnectionLost,
]);

function isWrite({ method }: VaultCall): boolean {
  return method !== "GET";
}

function factsOf({ vault, secret }: VaultCall): Facts {
  return secret === undefined ? { vault } : { vault, secret };
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : undefined;
}
