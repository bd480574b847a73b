import type { RenewableLease } from "./holding.ts";
import { storageError, storageErrorCode } from "./problems.ts";
import type { StorageClients } from "./storageClient.ts";

export interface LeaseBlobOptions {
  /** Of the lease. */
  readonly name: string;
  readonly container: URL;
  readonly clients: StorageClients;
  /** 15 to 60. */
  readonly seconds: number;
}

/** How long one call may take: a connection that hangs must not cost the lease that it is to renew. */
const callTimeoutMs = 10_000;

/**
 * The lease of one blob (https://learn.microsoft.com/rest/api/storageservices/lease-blob), with errors of ours. Every
 * call is one try, of at most 10 seconds.
 */
export class LeaseBlob implements RenewableLease {
  readonly name: string;
  readonly #options: LeaseBlobOptions;

  constructor(options: LeaseBlobOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Makes the blob where there is none. */
  acquire(signal: AbortSignal): Promise<boolean> {
    const { blob, lease } = this.#options.clients;
    return this.#isOursAfter(signal, async (abortSignal) => {
      const acquire = () => lease.acquireLease(this.#options.seconds, { abortSignal });
      try {
        await acquire();
      } catch (error) {
        if (storageErrorCode(error) !== "BlobNotFound") {
          throw error;
        }
        await blob.upload("", 0, { abortSignal, conditions: { ifNoneMatch: "*" } }).catch(unlessExists);
        await acquire();
      }
    });
  }

  renew(signal: AbortSignal): Promise<boolean> {
    const { lease } = this.#options.clients;
    return this.#isOursAfter(signal, (abortSignal) => lease.renewLease({ abortSignal }));
  }

  async release(): Promise<void> {
    const { lease } = this.#options.clients;
    await this.#isOursAfter(undefined, (abortSignal) => lease.releaseLease({ abortSignal }));
  }

  async #isOursAfter(
    signal: AbortSignal | undefined,
    send: (abortSignal: AbortSignal) => Promise<unknown>,
  ): Promise<boolean> {
    const timeout = AbortSignal.timeout(callTimeoutMs);
    try {
      await send(signal === undefined ? timeout : AbortSignal.any([signal, timeout]));
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      if (isNotOurs(storageErrorCode(error))) {
        return false;
      }
      throw storageError(error, this.#options.container);
    }
  }
}

/** `LeaseAlreadyPresent`, `LeaseIdMismatchWithLeaseOperation`, `LeaseIsBrokenAndCannotBeRenewed`, …; or the blob is gone. */
function isNotOurs(code: string | undefined): boolean {
  return code?.startsWith("Lease") === true || code === "BlobNotFound";
}

/** Another run was faster. */
function unlessExists(error: unknown): void {
  if (storageErrorCode(error) !== "BlobAlreadyExists") {
    throw error;
  }
}
