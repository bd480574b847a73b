import { type Html, html } from "./html.ts";

/** A moment as `12:40`, with its day where that is another one; UTC, as in logs. Times are milliseconds since the epoch. */
export function clockTime(time: number, now: number): Html {
  const date = new Date(time);
  const iso = date.toISOString();
  const isToday = iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  const day = isToday ? "" : `${date.getUTCDate()} ${months[date.getUTCMonth()]} `;
  return html`<time datetime="${iso}">${day}${iso.slice(11, 16)}</time>`;
}

/** `in 32m`, `now`, or `3m 1s ago`. */
export function fromNow(time: number, now: number): string {
  const seconds = Math.trunc((time - now) / 1000);
  if (seconds === 0) {
    return "now";
  }
  return seconds < 0 ? `${duration(-seconds)} ago` : `in ${duration(seconds)}`;
}

/** Two units at most, and only as exact as somebody wants to know it. */
function duration(seconds: number): string {
  const parts = [
    [Math.trunc(seconds / 86_400), "d"],
    [Math.trunc(seconds / 3_600) % 24, "h"],
    [Math.trunc(seconds / 60) % 60, "m"],
    [seconds >= 600 ? 0 : seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  const said = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return said.map(([count, unit]) => `${count}${unit}`).join(" ");
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
