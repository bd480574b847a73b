import type { TokenCredential } from "@azure/identity";
import { problems, RotatorError } from "../errors.ts";
import type { Clock, Leases } from "../ports.ts";

export const leaseProblems = problems({
  LeaseHeld: {
    message: "Another run is using this source's one-time credential.",
    remedy:
      "Nothing to do: the next tick tries again. If it recurs, look for a second deployment of the same rotation.",
    retryable: true,
  },
});

export interface LeasesOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly credential: () => Promise<TokenCredential>;
  readonly clock: Clock;
}

/** Keeps runs apart within this process. */
export function createLeases(_options: LeasesOptions): Leases {
  const held = new Set<string>();
  return {
    hold: async (name, context, work) => {
      if (held.has(name)) {
        throw new RotatorError(leaseProblems.LeaseHeld, { facts: { lease: name } });
      }
      held.add(name);
      try {
        return await work(context.signal);
      } finally {
        held.delete(name);
      }
    },
  };
}
