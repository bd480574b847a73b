/**
 * Durations as operators write them: `90s`, `5m`, `1h30m`, `2d`. Whole units, the largest first, no spaces, more than
 * nothing. The pattern has no flags and no look-behind, so that it means the same in the published JSON Schema.
 */
export const durationPattern =
  /^(?=\d)(?:([1-9]\d{0,5})d)?(?:([1-9]\d{0,5})h)?(?:([1-9]\d{0,5})m)?(?:([1-9]\d{0,5})s)?$/;

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;

/** Milliseconds; `undefined` where the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text);
  if (match === null) {
    return undefined;
  }
  return match.slice(1).reduce((total, count, index) => {
    const [, length] = units[index] ?? ["", 0];
    return total + Number(count ?? 0) * length;
  }, 0);
}

/**
 * Prints milliseconds as `1h30m`. What `parseDuration` cannot read, because nobody may configure it, is still printed:
 * nothing as `0s`, less than nothing as `-5m`, a fraction of a second as `250ms`.
 */
export function formatDuration(ms: number): string {
  let rest = Math.abs(Math.round(ms));
  if (rest === 0) {
    return "0s";
  }
  let text = ms < 0 ? "-" : "";
  for (const [unit, length] of units) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    text += count === 0 ? "" : `${count}${unit}`;
  }
  return text;
}
