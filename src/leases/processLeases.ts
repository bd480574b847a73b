import { RotatorError } from "../errors.ts";
import type { Leases } from "../ports.ts";
import { leaseProblems } from "./problems.ts";

/** Keeps runs apart within this process. A lease is never lost. */
export function createProcessLeases(): Leases {
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
