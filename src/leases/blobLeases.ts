import { createHash, randomUUID } from "node:crypto";
import type { TokenCredential } from "@azure/identity";
import { RotatorError } from "../errors.ts";
import type { Clock, Leases } from "../ports.ts";
import { leaseMs, whileHeld } from "./holding.ts";
import { LeaseBlob } from "./leaseBlob.ts";
import { leaseProblems } from "./problems.ts";

export interface BlobLeasesOptions {
  /** `https://ACCOUNT.blob.core.windows.net/CONTAINER`; the container must be there. */
  readonly containerUrl: string;
  /** Called on first use, and again only after it failed. */
  readonly credential: () => Promise<TokenCredential>;
  readonly clock: Clock;
}

/**
 * Leases of blobs, one empty blob for each name. Names may be any text. Not for two runs of one process: both would get
 * the lease of one name, because it is the process that holds it.
 *
 * What is guaranteed: while a lease is held, no other process gets it. It is renewed every 10 seconds until `work` is
 * done. Where it was taken away or a renewal is refused, or where none succeeded for 25 seconds, `signal` aborts with
 * `LeaseLost`: in the last case 5 seconds before another process can get it. That of a holder that died runs out within
 * 30 seconds.
 *
 * What is not: that a holder learns of its loss in time. A process that stands still for longer than the lease (a laptop
 * that sleeps, a virtual machine that is moved) goes on where it stood, and may send a request before its timers fire.
 * Neither a token endpoint nor Key Vault takes a fencing token that would stop such a latecomer. So `work` reads what is
 * stored after it got the lease and not before, looks at `signal` before it does what cannot be done twice, and after a
 * loss looks at what is stored by then before it stores anything.
 *
 * `hold` throws `LeaseHeld`, what keeps it from asking (other `leaseProblems`, those of the identity), or the signal's
 * reason. It asks once; whoever calls retries.
 */
export function createBlobLeases(options: BlobLeasesOptions): Leases {
  // One for the life of the process: a lease that was got by a call whose answer was lost is simply got again.
  const leaseId = randomUUID();
  let connection: Promise<(name: string) => LeaseBlob> | undefined;
  const connect = () => {
    connection ??= connectTo(options, leaseId).catch((error: unknown) => {
      // Not remembered: the next one tries again.
      connection = undefined;
      throw error;
    });
    return connection;
  };
  return {
    hold: async (name, context, work) => {
      const leaseOf = await connect();
      return await whileHeld(leaseOf(name), options.clock, context, work);
    },
  };
}

/** Loads the SDK. Nothing is sent yet. */
async function connectTo(
  { containerUrl, credential }: BlobLeasesOptions,
  leaseId: string,
): Promise<(name: string) => LeaseBlob> {
  const container = readContainerUrl(containerUrl);
  const [{ connectToStorage }, identity] = await Promise.all([import("./storageClient.ts"), credential()]);
  const clientsOf = connectToStorage(container, identity);
  return (name) =>
    new LeaseBlob({ name, container, clients: clientsOf(blobName(name), leaseId), seconds: leaseMs / 1000 });
}

/**
 * Checked on use and not at the start: it is a fault of the rotations that need a lease, and of no others.
 *
 * @throws RotatorError `LeaseContainerUrlInvalid`
 */
function readContainerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const path = url?.pathname.replace(/\/+$/, "") ?? "";
  // Tokens are sent over TLS only. A signature in the query would be a second credential, and one that leaks into logs.
  if (url?.protocol !== "https:" || path === "" || url.href !== url.origin + url.pathname) {
    throw new RotatorError(leaseProblems.LeaseContainerUrlInvalid);
  }
  return new URL(`${url.origin}${path}`);
}

/** Safe in an address, readable for whoever looks into the container, and another one for every name. */
function blobName(lease: string): string {
  const readable = lease.replace(/[^A-Za-z0-9.-]+/g, "_").slice(0, 100);
  return `${readable}_${createHash("sha256").update(lease, "utf8").digest("hex").slice(0, 32)}`;
}
