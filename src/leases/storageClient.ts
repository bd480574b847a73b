import type { TokenCredential } from "@azure/identity";
import { type BlobLeaseClient, BlockBlobClient, newPipeline } from "@azure/storage-blob";
import { identityError } from "../identity/identityErrors.ts";

/*
 * Loaded on first use, in one piece: what is imported by name from here is all of the SDK that a bundle has to hold. The
 * client of a container is left out on purpose; it would bring a columnar data format along.
 */

export interface StorageClients {
  readonly blob: BlockBlobClient;
  readonly lease: BlobLeaseClient;
}

/** @returns what gives the clients for one blob and one lease id. */
export function connectToStorage(
  container: URL,
  credential: TokenCredential,
): (blobName: string, leaseId: string) => StorageClients {
  const known: TokenCredential = {
    getToken: async (...request) => {
      try {
        return await credential.getToken(...request);
      } catch (error) {
        throw identityError(error);
      }
    },
  };
  // One for all blobs, because it keeps the token. Retrying is ours.
  const pipeline = newPipeline(known, { retryOptions: { maxTries: 1 } });
  return (blobName, leaseId) => {
    const blob = new BlockBlobClient(`${container.href}/${blobName}`, pipeline);
    return { blob, lease: blob.getBlobLeaseClient(leaseId) };
  };
}
