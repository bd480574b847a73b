import type { Simulation } from "./simulation.ts";

/** What came of a simulation, as plain data. */
export interface SimulationSummary {
  readonly seed: number | string;
  /** Virtual days that have passed. */
  readonly days: number;
  readonly ticks: number;
  readonly calls: number;
  readonly readers: readonly ReaderSummary[];
  readonly secrets: readonly SecretSummary[];
  readonly consumers: readonly ConsumerSummary[];
  /** What went wrong in the world, by kind: how often. */
  readonly faults: Readonly<Record<string, number>>;
  /** How often a rule was broken. */
  readonly violationCount: number;
  /** The first hundred of them. */
  readonly violations: readonly ViolationSummary[];
}

export interface ReaderSummary {
  readonly rotation: string;
  readonly output: string;
  /** `readers of the vault`, or where the rotation names the reader: `consumers[0]`. */
  readonly reader: string;
  /** What the oldest token that it ever held had left; negative where it had expired. `null` where it never held one. */
  readonly worstSecondsLeft: number | null;
  /** For how long it held expired tokens, in all. */
  readonly secondsExpired: number;
}

export interface SecretSummary {
  readonly secret: string;
  readonly vault: string;
  readonly versionsPerDay: number;
  /** Until the secret has 500 versions, from which on Key Vault cannot back it up; `null` where it gets none. */
  readonly daysUntil500Versions: number | null;
}

export interface ConsumerSummary {
  /** Resource id. */
  readonly name: string;
  readonly restartsPerDay: number;
}

export interface ViolationSummary {
  readonly invariant: string;
  readonly what: string;
  /** Virtual time, ISO 8601. */
  readonly at: string;
  readonly where: string;
}

/** Key Vault's limit for backups: https://learn.microsoft.com/azure/key-vault/general/backup */
const versionsInBackup = 500;
const dayMs = 24 * 60 * 60_000;
/** A rule that is broken once is often broken again; the first ones tell why. */
const mostViolations = 100;

export function summaryOf(simulation: Simulation): SimulationSummary {
  const { world, observer, seed, ticks } = simulation;
  const days = (world.clock.now() - simulation.startsAt) / dayMs;
  const perDay = (count: number) => round(days === 0 ? 0 : count / days);
  return {
    seed,
    days: round(days),
    ticks,
    calls: world.counter.all,
    readers: observer.readers.all.map(({ rotation, output, name, worstMs, expiredMs }) => ({
      rotation: rotation.name,
      output: output.secret,
      reader: name,
      worstSecondsLeft: Number.isFinite(worstMs) ? Math.round(worstMs / 1000) : null,
      secondsExpired: Math.round(expiredMs / 1000),
    })),
    secrets: world.vaults.flatMap((vault) =>
      [...vault.allMade].map(([secret, made]) => ({
        secret,
        vault: vault.url,
        versionsPerDay: perDay(made),
        daysUntil500Versions: made === 0 ? null : round((versionsInBackup * days) / made),
      })),
    ),
    consumers: world.apps.map((app) => ({
      name: app.id,
      restartsPerDay: perDay(observer.restarts.get(app) ?? 0),
    })),
    faults: Object.fromEntries(world.faults.injected),
    violationCount: observer.violations.length,
    violations: observer.violations.slice(0, mostViolations).map(({ invariant, what, at, where }) => ({
      invariant,
      what,
      at: new Date(at).toISOString(),
      where,
    })),
  };
}

/** Whether no rule was broken, and every reader held a token, and never an expired one. */
export function isGood({ readers, violationCount }: SimulationSummary): boolean {
  return (
    violationCount === 0 &&
    readers.every(({ secondsExpired, worstSecondsLeft }) => secondsExpired === 0 && worstSecondsLeft !== null)
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
