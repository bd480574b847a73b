import type { StatusRow } from "../core/survey.ts";
import type { Freshness } from "../events.ts";
import type { Output } from "./io.ts";
import type { Colour } from "./paint.ts";
import { paint } from "./paint.ts";
import { table } from "./table.ts";
import { shortDuration } from "./time.ts";

const colours: Record<Freshness, Colour> = {
  fresh: "green",
  due: "yellow",
  paused: "yellow",
  stale: "red",
  expired: "red",
  missing: "red",
  blocked: "red",
  unknown: "red",
};

/** The rows of `status` as a table; `now` in milliseconds since the epoch. */
export function statusTable(output: Output, rows: readonly StatusRow[], now: number): string {
  const head = ["ROTATION", "OUTPUT", "FRESHNESS", "REASON", "EXPIRES IN", "RENEWED IN", "CONSUMERS"];
  return table(
    head,
    rows.map(({ rotation, secret, freshness, reason, expiresOn, renewAt, consumers }) => [
      rotation,
      secret,
      paint(output, colours[freshness], freshness),
      reason,
      until(expiresOn, now),
      until(renewAt, now),
      consumers.map(({ name, state }) => `${name.slice(name.lastIndexOf("/") + 1)}: ${state}`).join(", "),
    ]),
  );
}

function until(time: string | undefined, now: number): string {
  return time === undefined ? "" : shortDuration((Date.parse(time) - now) / 1000);
}
