import type { Io } from "./io.ts";

const width = 30;
const shownEveryMs = 100;

/** Draws how much is done on stderr, where a person is looking there; `undefined` takes the line away. */
export function progressBar({ stderr, clock }: Io, unit: string): (share: number | undefined) => void {
  let shownAt = Number.NEGATIVE_INFINITY;
  return (share) => {
    if (!stderr.isTerminal) {
      return;
    }
    if (share === undefined) {
      stderr.write("\r\u001b[K");
      return;
    }
    const now = clock.now();
    if (now - shownAt >= shownEveryMs) {
      shownAt = now;
      const full = Math.round(share * width);
      const bar = "█".repeat(full) + "░".repeat(width - full);
      stderr.write(`\r${bar} ${String(Math.floor(share * 100)).padStart(3)} % of ${unit}`);
    }
  };
}
