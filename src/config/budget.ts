import { formatDuration } from "./duration.ts";
import { pointerOf } from "./problems.ts";

/**
 * How a new token comes from the vault to one reader. A reader sees an expired token when the way takes longer than the
 * margin leaves, so each way is counted.
 */
export interface ReaderPath {
  /** Position of the output in the rotation: a number, so that rotations that differ in names alone have equal budgets. */
  readonly output: number;
  /** The part of the rotation that describes the reader: `["consumers", 0]`; empty for who reads the vault itself. */
  readonly reader: readonly (string | number)[];
  /** From the vault's new version to the reader holding it, at worst. */
  readonly propagationMs: number;
}

export interface RotationTiming {
  /** The shortest lifetime that tokens of the rotation's sources usually have. */
  readonly lifetimeMs: number;
  /** As configured; a third of the lifetime where absent. */
  readonly marginMs?: number | undefined;
  readonly tickMs: number;
  readonly retryBudgetMs: number;
  /** How long before its expiry a token stops being accepted. */
  readonly refusedBeforeExpiryMs: number;
  readonly paths: readonly ReaderPath[];
}

export interface FreshnessBudget {
  /** The least margin with which no reader can come to see an expired token while ticks and retries are lost. */
  readonly floorMs: number;
  /** How late a renewal may be without anything being wrong: until the next tick has come and retried. */
  readonly overdueMs: number;
  /** The margin in force: the configured one, or the larger of a third of the lifetime and the floor. */
  readonly marginMs: number;
  /** The least budget of all readers. */
  readonly budgetMs: number;
  /** How that comes about: `lifetime 1h − margin 22m − tick 5m − propagation 5m = 28m`. */
  readonly arithmetic: string;
  readonly paths: readonly ReaderBudget[];
}

export interface ReaderBudget extends ReaderPath {
  /** How long the reader rests on a token before the next one is due; nothing or less means it is always due. */
  readonly budgetMs: number;
}

export interface UnsafeBudget {
  readonly code: "UnsafeMargin" | "UnsafeBudget";
  /** The reader that cannot be served; the slowest one for a margin. */
  readonly reader: ReaderPath["reader"];
  /** What was found, with the arithmetic; how to mend it. */
  readonly text: string;
}

/** Two ticks may be lost and the third may be late by nearly its whole length. */
const ticksCounted = 3;

/**
 * A token is renewed at `expiry − margin`. The next tick may be one tick away, and the reader holds the new token one
 * propagation later; what is left of the lifetime is the budget. All times in milliseconds.
 */
export function freshnessBudget(timing: RotationTiming): {
  readonly budget: FreshnessBudget;
  readonly unsafe: readonly UnsafeBudget[];
} {
  const { lifetimeMs, tickMs, retryBudgetMs, refusedBeforeExpiryMs } = timing;
  const slowest = timing.paths.reduce<ReaderPath>(
    (slower, path) => (path.propagationMs > slower.propagationMs ? path : slower),
    { output: 0, reader: [], propagationMs: 0 },
  );
  const floorMs = slowest.propagationMs + ticksCounted * tickMs + retryBudgetMs + refusedBeforeExpiryMs;
  const marginMs = timing.marginMs ?? Math.max(lifetimeMs / 3, floorMs);
  const budgetOf = ({ propagationMs }: ReaderPath) => lifetimeMs - marginMs - tickMs - propagationMs;
  const arithmeticOf = (path: ReaderPath) =>
    [
      `lifetime ${formatDuration(lifetimeMs)} − margin ${formatDuration(marginMs)}`,
      ` − tick ${formatDuration(tickMs)} − propagation ${formatDuration(path.propagationMs)}`,
      ` = ${formatDuration(budgetOf(path))}`,
    ].join("");

  const unsafe: UnsafeBudget[] = [];
  if (marginMs < floorMs) {
    unsafe.push({ code: "UnsafeMargin", reader: slowest.reader, text: marginText(timing, slowest, floorMs) });
  }
  const told = new Set<string>();
  for (const path of timing.paths) {
    const name = readerName(path.reader);
    // One reader that takes several outputs has one problem.
    if (budgetOf(path) <= 0 && !told.has(name)) {
      told.add(name);
      const text = `leaves a token that is always due: ${arithmeticOf(path)}; ${budgetRemedy}`;
      unsafe.push({ code: "UnsafeBudget", reader: path.reader, text });
    }
  }
  const paths = timing.paths.map((path) => ({ ...path, budgetMs: budgetOf(path) }));
  const budget = {
    floorMs,
    overdueMs: tickMs + retryBudgetMs,
    marginMs,
    budgetMs: budgetOf(slowest),
    arithmetic: arithmeticOf(slowest),
    paths,
  };
  return { budget, unsafe };
}

const budgetRemedy =
  "ask the source for longer tokens (lifetime says how long they live), shorten margin, tick or propagation, or choose a faster way to the reader";

/** The reader in words. */
export function readerName(reader: ReaderPath["reader"]): string {
  return reader.length === 0 ? "readers of the vault" : pointerOf(reader);
}

function marginText(timing: RotationTiming, { reader, propagationMs }: ReaderPath, floorMs: number): string {
  const { marginMs = 0, tickMs, retryBudgetMs, refusedBeforeExpiryMs } = timing;
  const refused =
    refusedBeforeExpiryMs === 0 ? "" : ` + refused before expiry ${formatDuration(refusedBeforeExpiryMs)}`;
  return [
    `is shorter than the least safe one for ${readerName(reader)}: propagation ${formatDuration(propagationMs)}`,
    ` + ${ticksCounted} × tick ${formatDuration(tickMs)} + retries ${formatDuration(retryBudgetMs)}${refused}`,
    ` = ${formatDuration(floorMs)}, and the margin is ${formatDuration(marginMs)}`,
    `; make the margin at least ${formatDuration(floorMs)}, or leave it out, or shorten tick or propagation`,
  ].join("");
}
