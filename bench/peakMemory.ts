import { readFileSync } from "node:fs";

/**
 * The peak of this process' resident memory. `maxRSS` counts what the parent held when it forked too; Linux also tells the
 * peak of the program alone.
 */
export function peakMemoryMiB(): number {
  return peakKiB() / 1024;
}

function peakKiB(): number {
  try {
    const [, peak] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Number(peak);
  } catch {
    return process.resourceUsage().maxRSS;
  }
}
