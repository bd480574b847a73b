import { asRotatorError, type Facts, type Problem, problems, RotatorError } from "../errors.ts";
import { type HeaderSource, retryAfterMs } from "../retryAfter.ts";

export const leaseProblems = problems({
  LeaseHeld: {
    message: "Another run is using this source's one-time credential.",
    remedy:
      "Nothing to do: the next tick tries again. If it recurs, look for a second deployment of the same rotation.",
    retryable: true,
  },
  LeaseLost: {
    message:
      "The lease on the one-time credential was lost, or could not be renewed, before the work was done.",
    remedy:
      "Nothing to do: the next try reads what is stored by then. If it recurs, look at the storage account's health and for somebody who breaks leases.",
    retryable: true,
  },
  LeaseContainerUrlInvalid: {
    message: "LEASE_CONTAINER_URL is not the address of a blob container.",
    remedy:
      "Set it to https://ACCOUNT.blob.core.windows.net/CONTAINER, without a signature: the rotator's own identity is used.",
    retryable: false,
  },
  LeaseContainerMissing: {
    message: "The blob container that LEASE_CONTAINER_URL names does not exist.",
    remedy:
      "Create it: `az storage container create --auth-mode login --account-name ACCOUNT --name CONTAINER`; `infra` does so.",
    retryable: false,
  },
  LeaseForbidden: {
    message: "The storage account does not let the identity that the rotator runs as lease blobs.",
    remedy:
      "Assign it the role in the facts at the scope in the facts and wait for it to take effect; an account with network rules must also let this machine in.",
    retryable: false,
  },
  LeaseStoreUnreachable: {
    message: "The storage account of the leases cannot be reached, or did not answer in time.",
    remedy:
      "Nothing to do when it passes; else check LEASE_CONTAINER_URL, DNS, proxies and private endpoints.",
    retryable: true,
  },
  LeaseStoreUnavailable: {
    message: "The storage account of the leases cannot serve the call right now.",
    remedy: "Nothing to do when it passes; else look at the health of Storage in the account's region.",
    retryable: true,
  },
  LeaseStoreRefused: {
    message: "The storage account of the leases refused the call.",
    remedy: "Look up the error code in the facts at https://learn.microsoft.com/rest/api/storageservices.",
    retryable: false,
  },
});

/** What the storage client threw, as a problem of ours. Its message and its request are dropped. */
export function storageError(thrown: unknown, container: URL): RotatorError {
  if (thrown instanceof RotatorError) {
    return thrown;
  }
  if (!(thrown instanceof Error) || !(thrown.name === "RestError" || thrown.name === "AbortError")) {
    return asRotatorError(thrown);
  }
  const { statusCode, code, response } = thrown as StorageFailure;
  const problem = problemOf(statusCode);
  const errorCode = storageErrorCode(thrown) ?? code ?? "";
  const waitMs = response?.headers === undefined ? undefined : retryAfterMs(response.headers);
  return new RotatorError(problem, {
    cause: thrown,
    facts: {
      container: container.href,
      ...(statusCode === undefined ? {} : { httpStatus: statusCode }),
      ...(/^\w{1,64}$/.test(errorCode) ? { errorCode } : {}),
      ...(problem === leaseProblems.LeaseForbidden ? permission(container) : {}),
    },
    ...(problem.retryable && waitMs !== undefined ? { retryAfterMs: waitMs } : {}),
  });
}

/** The service's name for what went wrong: `BlobNotFound`. It is in a header, because not every answer has a body. */
export function storageErrorCode(thrown: unknown): string | undefined {
  return (
    (thrown as Partial<StorageFailure> | undefined)?.response?.headers?.get("x-ms-error-code") ?? undefined
  );
}

interface StorageFailure extends Error {
  readonly statusCode?: number;
  readonly code?: string;
  readonly response?: { readonly headers?: HeaderSource };
}

function problemOf(status: number | undefined): Problem {
  switch (status) {
    case undefined:
      return leaseProblems.LeaseStoreUnreachable;
    case 401:
    case 403:
      return leaseProblems.LeaseForbidden;
    case 404:
      return leaseProblems.LeaseContainerMissing;
    case 408:
    case 429:
      return leaseProblems.LeaseStoreUnavailable;
    default:
      return status >= 500 ? leaseProblems.LeaseStoreUnavailable : leaseProblems.LeaseStoreRefused;
  }
}

/** The Owner, whom `infra` assigns because the Functions host needs it, may do the same. */
function permission({ hostname, pathname }: URL): Facts {
  return {
    role: "Storage Blob Data Contributor",
    scope: `Microsoft.Storage/storageAccounts/${hostname.split(".")[0]}/blobServices/default/containers${pathname}`,
  };
}
