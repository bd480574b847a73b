import type { RotatorError } from "../../errors.ts";
import type { Outcome } from "../../events.ts";
import { pageDocument } from "./document.ts";
import { type Html, html } from "./html.ts";
import { hostOf, rotationRow } from "./rotationRow.ts";
import { byUrgency, type Row } from "./rows.ts";
import { clockTime } from "./times.ts";
import { freshnessTones, outcomeTexts, type Tone } from "./words.ts";

export interface StatusPage {
  readonly rows: readonly Row[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** How often the page is asked for anew, where it can be. */
  readonly refreshSeconds: number;
  /** Goes with a form, and must come back with it. */
  readonly token: string;
  /** What became of the rotation that somebody has just asked for. */
  readonly said?: Said;
}

/** The outcome of a rotation that was asked for, or the error that kept it from being tried. */
export interface Said {
  readonly rotation: string;
  readonly tone: Tone;
  readonly outcome?: Outcome;
  readonly error?: RotatorError;
}

/** A document of tens of thousands of rows is of no use to anybody; the rest is fresh, since the worst come first. */
const shown = 500;

export function statusPage({ rows, now, refreshSeconds, token, said }: StatusPage): string {
  const attention = rows.filter((row) => row.attention);
  const headline = headlineOf(attention.length, rows.length);
  const visible = rows.slice(0, shown);
  const sections = [
    { title: "Needs attention", rows: visible.filter((row) => row.attention) },
    { title: "Due", rows: visible.filter((row) => !row.attention && row.freshness === "due") },
    { title: "Fresh", rows: visible.filter((row) => !row.attention && row.freshness === "fresh") },
    { title: "Paused", rows: visible.filter((row) => !row.attention && row.freshness === "paused") },
  ];
  return pageDocument(
    `${headline} – Token rotations`,
    html`<main data-refresh="${refreshSeconds}">
<header>
<div><h1>Token rotations</h1><p class="as-of">${vaultsOf(rows)}as of ${clockTime(now, now)} UTC</p></div>
<p class="headline ${attention.length > 0 ? "bad" : "good"}">${headline}</p>
<ul role="list" class="counts" aria-label="Rotations by freshness">${counts(rows)}</ul>
</header>
${said === undefined ? undefined : notice(said)}
<form method="post">
<input type="hidden" name="token" value="${token}">
${sections.filter(({ rows }) => rows.length > 0).map(({ title, rows }) => section(title, rows, now))}
</form>
${rows.length > shown ? html`<p class="help">${rows.length - shown} more are not shown; <code>GET /api/status</code> has all.</p>` : undefined}
<footer>
<ul role="list" class="legend">
<li><svg aria-hidden="true"><circle class="now" cx="7" cy="9" r="5"/></svg>now</li>
<li><svg aria-hidden="true"><rect class="renewal" x="6" y="2" width="2" height="14" rx="1"/></svg>renewal</li>
<li><svg aria-hidden="true"><rect class="danger" y="6" width="14" height="6" rx="3"/></svg>a reader may come to hold an expired token</li>
</ul>
<p>Times are UTC.</p>
</footer>
</main>`,
  );
}

function headlineOf(attention: number, all: number): string {
  if (attention > 0) {
    return `${attention} of ${all} ${all === 1 ? "rotation" : "rotations"} ${attention === 1 ? "needs" : "need"} attention`;
  }
  return all === 1 ? "The rotation is well" : `All ${all} rotations are well`;
}

/** Tells one installation from another. */
function vaultsOf(rows: readonly Row[]): string {
  const vaults = new Set(
    rows.flatMap(({ outputs }) => outputs.flatMap(({ secrets }) => secrets.map(({ vault }) => vault))),
  );
  const [first] = vaults;
  return first === undefined ? "" : vaults.size === 1 ? `${hostOf(first)}, ` : `${vaults.size} vaults, `;
}

function counts(rows: readonly Row[]): Html[] {
  const words = [...new Set(rows.map(({ freshness }) => freshness))].toSorted(byUrgency);
  const counted = words.map((freshness) => ({
    text: freshness as string,
    tone: freshnessTones[freshness],
    count: rows.filter((row) => row.freshness === freshness).length,
  }));
  const undelivered = rows.filter(({ consumers }) =>
    consumers.some(({ state }) => state === "failed"),
  ).length;
  if (undelivered > 0) {
    counted.push({
      text: undelivered === 1 ? "consumer failed" : "consumers failed",
      tone: "bad",
      count: undelivered,
    });
  }
  return counted.map(({ text, tone, count }) => html`<li class="badge ${tone}">${count} ${text}</li>`);
}

function notice({ rotation, tone, outcome, error }: Said): Html {
  const words = outcome === undefined ? undefined : `${outcome}. ${outcomeTexts[outcome]}`;
  const detail =
    error === undefined
      ? undefined
      : html`<p>${error.message} ${error.remedy} <code>${error.code}</code></p>`;
  return html`<div class="panel notice ${tone}" id="outcome" tabindex="-1"><p><strong>${rotation}</strong> ${words}</p>${detail}</div>`;
}

function section(title: string, rows: readonly Row[], now: number): Html {
  return html`<section><h2>${title} <span class="count">${rows.length}</span></h2>
<ul role="list" class="panel rows">${rows.map((row) => rotationRow(row, now))}</ul></section>`;
}
