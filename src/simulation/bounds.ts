import type { Configuration } from "../config/configuration.ts";
import type { Service } from "./faults.ts";

/** Tries of a failing call within a tick: the waits double from 0.75 s to 12 s, and then stay. */
function triesWithin(budgetMs: number): number {
  let tries = 1;
  for (let waitMs = 750, spentMs = 750; spentMs <= budgetMs; tries += 1) {
    waitMs = Math.min(2 * waitMs, 12_000);
    spentMs += waitMs;
  }
  return tries;
}

/** Secrets in one page of a listing. */
const pageSize = 25;
/** One restart is looked after for 90 s, and an update for 3 minutes, at ever longer intervals; with retries. */
const callsPerApp = 250;

/**
 * How many calls an hour with so many ticks may make to each service, at the most and with everything failing.
 * @param configurations Those that were in force.
 */
export function callBounds(
  configurations: readonly Configuration[],
  ticks: number,
): ReadonlyMap<Service, number> {
  const bounds = new Map<Service, number>();
  for (const configuration of configurations) {
    for (const [service, calls] of callsPerTick(configuration)) {
      bounds.set(service, Math.max(bounds.get(service) ?? 0, calls * (ticks + 1)));
    }
  }
  return bounds;
}

function callsPerTick(configuration: Configuration): [Service, number][] {
  const tries = triesWithin(configuration.retryBudgetMs);
  const ready = configuration.rotations.filter((rotation) => rotation.state === "ready");
  const outputs = ready.flatMap((rotation) => rotation.outputs).length;
  const sources = ready.flatMap((rotation) => rotation.sources).length;
  const bindings = ready.flatMap((rotation) => rotation.consumers).length;
  const pages = 2 * Math.ceil((outputs + 2 * sources) / pageSize) + 2;
  return [
    // A listing, per output a write that looks after itself, per source what it reads and keeps.
    ["vault", tries * (pages + 4 * outputs + 4 * sources + bindings)],
    // Per source at most three, and one for the vaults.
    ["identity", tries * (3 * sources + 2)],
    ["provider", tries * 2 * sources],
    ["leases", tries * 2 * sources],
    ["apps", callsPerApp * bindings],
  ];
}
