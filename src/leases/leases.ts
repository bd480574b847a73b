import type { TokenCredential } from "@azure/identity";
import type { Clock, Leases } from "../ports.ts";
import { createBlobLeases } from "./blobLeases.ts";
import { createProcessLeases } from "./processLeases.ts";

export interface LeasesOptions {
  /** `LEASE_CONTAINER_URL`: the address of a blob container. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called on first use, and again only after it failed. */
  readonly credential: () => Promise<TokenCredential>;
  readonly clock: Clock;
}

/**
 * Keeps runs apart: within this process always and, where `LEASE_CONTAINER_URL` names a container, across all processes
 * that are told the same one. Without it, two processes can spend the same one-time credential at the same time.
 */
export function createLeases({ environment, credential, clock }: LeasesOptions): Leases {
  const inProcess = createProcessLeases();
  const { LEASE_CONTAINER_URL: containerUrl = "" } = environment;
  if (containerUrl === "") {
    return inProcess;
  }
  const everywhere = createBlobLeases({ containerUrl, credential, clock });
  return {
    hold: (name, context, work) => inProcess.hold(name, context, () => everywhere.hold(name, context, work)),
  };
}
