import { within } from "../core/deadline.ts";
import type { Clock } from "../ports.ts";
import { type Check, failed } from "./check.ts";

/** A header `Date` has whole seconds, and the answer takes its time. */
const noticedMs = 30_000;
/** What the services allow when they compare the times in a token with their own. */
const toleratedMs = 300_000;
const timeoutMs = 10_000;

/**
 * Compares this machine's clock with the vault's. Asked without a token: the refusal carries the time as well.
 * @param fetch for provider endpoints, as `safeFetch` gives it.
 */
export async function checkClock(
  vault: string,
  clock: Clock,
  fetch: typeof globalThis.fetch,
): Promise<Check> {
  const check = `clock ${new URL(vault).hostname.split(".")[0]}`;
  try {
    const askedAt = clock.now();
    const response = await within(clock, timeoutMs, undefined, (signal) =>
      fetch(`${vault}/secrets?api-version=7.4&maxresults=1`, { signal }),
    );
    const answeredAt = clock.now();
    await response.body?.cancel();
    const theirs = Date.parse(response.headers.get("date") ?? "");
    if (Number.isNaN(theirs)) {
      return { check, state: "warn", message: "The vault's answer carries no time to compare with." };
    }
    return verdict(check, (askedAt + answeredAt) / 2 - theirs);
  } catch (error) {
    return failed(check, error);
  }
}

/** @param aheadMs how far this machine's clock is ahead of the vault's. */
function verdict(check: string, aheadMs: number): Check {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  if (Math.abs(aheadMs) < noticedMs) {
    return {
      check,
      state: "ok",
      message: `This machine's clock and the vault's agree within ${Math.max(seconds, 1)} s.`,
    };
  }
  return {
    check,
    state: Math.abs(aheadMs) < toleratedMs ? "warn" : "fail",
    message: `This machine's clock is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} the vault's.`,
    remedy:
      "Let the machine keep time by NTP: tokens are taken for expired, or not yet valid, by a wrong clock.",
  };
}
