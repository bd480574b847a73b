import { RotatorError } from "../errors.ts";
import { leaseProblems, storageError } from "../leases/problems.ts";
import type { Leases } from "../ports.ts";
import { type Instance, NoAnswer } from "./instance.ts";
import type { World } from "./world.ts";

/** A blob's lease runs so long after its holder has renewed it for the last time. */
const leaseMs = 30_000;
const container = new URL("https://leases.blob.core.windows.net/leases");
export const leasesTarget = container.host;

interface Holding {
  readonly instance: Instance;
  /** Since when it is not renewed any more; `undefined` while it is. */
  endedAt: number | undefined;
}

/** Leases that all instances share. One that its holder no longer renews runs out. */
export class LeaseModel {
  readonly #world: World;
  readonly #holdings = new Map<string, Holding>();

  constructor(world: World) {
    this.#world = world;
  }

  of(instance: Instance): Leases {
    const ask = <T>(operation: string, name: string, effect: () => T) =>
      instance
        .call({ service: "leases", operation, target: leasesTarget, about: name }, effect)
        .catch(mapped);
    return {
      hold: async (name, context, work) => {
        let taken: Holding | undefined;
        const holding = await ask("acquire", name, () => {
          taken = this.#take(name, instance);
          return taken;
        }).catch((error: unknown) => {
          // Taken, and nobody knows: nobody renews it.
          if (taken !== undefined) {
            taken.endedAt = this.#world.clock.now();
          }
          throw error;
        });
        if (holding === undefined) {
          throw new RotatorError(leaseProblems.LeaseHeld, { facts: { lease: name } });
        }
        try {
          return await work(context.signal);
        } finally {
          holding.endedAt = this.#world.clock.now();
          // What cannot be released runs out.
          await ask("release", name, () => this.#release(name, holding)).catch(() => {});
        }
      },
    };
  }

  #take(name: string, instance: Instance): Holding | undefined {
    const known = this.#holdings.get(name);
    if (known !== undefined && known.instance !== instance && !this.#hasRunOut(known)) {
      return undefined;
    }
    const holding: Holding = { instance, endedAt: undefined };
    this.#holdings.set(name, holding);
    return holding;
  }

  #hasRunOut({ instance, endedAt = instance.endedAt }: Holding): boolean {
    return endedAt !== undefined && this.#world.clock.now() >= endedAt + leaseMs;
  }

  #release(name: string, holding: Holding): void {
    if (this.#holdings.get(name) === holding) {
      this.#holdings.delete(name);
    }
  }
}

function mapped(error: unknown): never {
  if (!(error instanceof NoAnswer)) {
    throw error;
  }
  throw storageError(
    Object.assign(new Error(error.code), { name: "RestError", statusCode: error.status }),
    container,
  );
}
