import type { ReaderSummary, SimulationSummary } from "../simulation/summary.ts";
import type { Output } from "./io.ts";
import { paint } from "./paint.ts";
import { table } from "./table.ts";
import { shortDuration } from "./time.ts";

/** The result for a person: who read how old tokens, what was written and restarted, and what must never have been. */
export function simulationReport(output: Output, summary: SimulationSummary): string {
  const { readers, secrets, consumers, violations, violationCount, seed } = summary;
  const parts = [
    table(
      ["ROTATION", "OUTPUT", "READER", "WORST FRESHNESS", "EXPIRED FOR"],
      readers.map((reader) => [
        reader.rotation,
        reader.output,
        reader.reader,
        worst(output, reader),
        expiredFor(reader),
      ]),
    ),
    table(
      ["SECRET", "VERSIONS PER DAY", "500 VERSIONS AFTER"],
      secrets.map(({ secret, versionsPerDay, daysUntil500Versions }) => [
        secret,
        String(versionsPerDay),
        daysUntil500Versions === null ? "" : `${daysUntil500Versions} days`,
      ]),
    ),
  ];
  if (consumers.length > 0) {
    parts.push(
      table(
        ["CONSUMER", "RESTARTS PER DAY"],
        consumers.map(({ name, restartsPerDay }) => [
          name.slice(name.lastIndexOf("/") + 1),
          String(restartsPerDay),
        ]),
      ),
    );
  }
  for (const { invariant, at, where, what } of violations) {
    parts.push(`${paint(output, "red", invariant)} at ${at}: ${where} ${what}\n`);
  }
  const { days, ticks, calls } = summary;
  const verdict = violationCount === 0 ? "no rule broken" : `${violationCount} times a rule was broken`;
  parts.push(`${days} days, ${ticks} ticks, ${calls} calls, seed ${seed}: ${verdict}.\n`);
  return parts.join("\n");
}

function expiredFor({ worstSecondsLeft, secondsExpired }: ReaderSummary): string {
  if (worstSecondsLeft === null) {
    return "";
  }
  return secondsExpired === 0 ? "never" : shortDuration(secondsExpired);
}

/** What the oldest token had left. */
function worst(output: Output, { worstSecondsLeft }: ReaderSummary): string {
  if (worstSecondsLeft === null) {
    return paint(output, "red", "no token");
  }
  const text =
    worstSecondsLeft < 0
      ? `${shortDuration(-worstSecondsLeft)} after it expired`
      : `${shortDuration(worstSecondsLeft)} left`;
  return paint(output, worstSecondsLeft < 0 ? "red" : "green", text);
}
