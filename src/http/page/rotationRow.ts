import type { SurveyedConsumer } from "../../core/survey.ts";
import { type Html, html } from "./html.ts";
import type { OutputRow, Row } from "./rows.ts";
import { timeline } from "./timeline.ts";
import { clockTime, fromNow } from "./times.ts";
import { actionTexts, consumerTones, freshnessTones, reasonTexts, type Tone } from "./words.ts";

/** One rotation: what it is, its life, what comes next and why, and the button. `now` in milliseconds since the epoch. */
export function rotationRow(row: Row, now: number): Html {
  const { rotation, freshness, outputs, consumers } = row;
  const failed = consumers.some(({ state }) => state === "failed")
    ? badge("bad", "consumer failed")
    : undefined;
  return html`<li class="row ${freshnessTones[freshness]}">
<div class="who"><h3>${rotation}</h3>${badge(freshnessTones[freshness], freshness)}${failed}</div>
<ul role="list" class="outputs">${outputs.map((output) => outputHtml(output, outputs.length > 1, now))}</ul>
<div class="next">${next(row, now)}${latest(row, now)}${
    consumers.length > 0
      ? html`<ul role="list" class="consumers" aria-label="Consumers">${consumers.map(consumerHtml)}</ul>`
      : undefined
  }</div>
<div class="act">${rotateNow(row)}</div>
</li>
`;
}

function badge(tone: Tone, text: string): Html {
  return html`<span class="badge ${tone}">${text}</span>`;
}

function outputHtml({ secrets, freshness, life }: OutputRow, several: boolean, now: number): Html {
  const names = secrets.map(({ name, vault }) => html`<code title="${hostOf(vault)}">${name}</code> `);
  const word = several ? badge(freshnessTones[freshness], freshness) : undefined;
  if (life === undefined) {
    const lack = { missing: "no version", unknown: "not known" }[freshness as string] ?? "no expiry";
    return html`<li><p class="secrets">${names}${word}<b>${lack}</b></p></li>`;
  }
  const { issuedAt, renewAt, expiresAt } = life;
  const expiry = `${expiresAt <= now ? "expired" : "expires"} ${fromNow(expiresAt, now)}`;
  return html`<li><p class="secrets">${names}${word}<b>${expiry}</b></p>
${timeline(life, now)}
<dl>${point("Issued", issuedAt, now)}${
    renewAt === undefined ? undefined : point("Renewal", renewAt, now)
  }${point("Expiry", expiresAt, now)}</dl></li>`;
}

function point(term: string, time: number, now: number): Html {
  return html`<div><dt>${term}</dt> <dd>${clockTime(time, now)}</dd></div>`;
}

function next({ rotation, plan, outputs, error }: Row, now: number): Html {
  if (error !== undefined) {
    return html`<p>${actionTexts.blocked}</p><p class="help">${error.message} ${error.remedy} <code>${error.code}</code></p>`;
  }
  const renewals = outputs.flatMap(({ life }) => life?.renewAt ?? []);
  if (plan.reason === "Fresh" && plan.action === "none" && renewals.length > 0) {
    return html`<p>Renewal ${fromNow(Math.min(...renewals), now)}</p>`;
  }
  const resume = plan.reason === "Paused" ? html` <code>token-rotator resume ${rotation}</code>` : undefined;
  const why =
    plan.reason === "Fresh"
      ? undefined
      : html`<p class="help">${reasonTexts[plan.reason]} <code>${plan.reason}</code>${resume}</p>`;
  return html`<p>${actionTexts[plan.action]}</p>${why}`;
}

function latest({ latest }: Row, now: number): Html | undefined {
  if (latest === undefined) {
    return undefined;
  }
  const { outcome, code, at } = latest;
  const cause = code === undefined ? undefined : html` <code>${code}</code>`;
  return html`<p class="help">Last outcome in this process: <code>${outcome}</code>${cause}, ${fromNow(at, now)}</p>`;
}

function consumerHtml({ name, state, error }: SurveyedConsumer): Html {
  const cause =
    error === undefined ? undefined : html`<span class="help">${error.message} ${error.remedy}</span>`;
  return html`<li class="${consumerTones[state]}"><span title="${name}">${name.slice(name.lastIndexOf("/") + 1)}</span> <b>${state}</b>${cause}</li>`;
}

function rotateNow({ rotation, plan, consumers }: Row): Html | undefined {
  if (plan.action === "blocked" || plan.reason === "Paused") {
    return undefined;
  }
  const dialog = `confirm-${rotation}`;
  const restarts = consumers.length > 0 ? ", and its consumers are updated and restarted" : "";
  return html`<button type="button" id="ask-${rotation}" popovertarget="${dialog}" aria-label="Rotate ${rotation} now…">Rotate now…</button>
<div popover id="${dialog}" class="panel confirm" role="dialog" aria-labelledby="${dialog}-title">
<h4 id="${dialog}-title">Rotate ${rotation} now?</h4>
<p>A new token is minted and written to the vault${restarts}.</p>
<p class="buttons"><button type="submit" class="primary" name="rotation" value="${rotation}">Rotate now</button>
<button type="button" popovertarget="${dialog}" popovertargetaction="hide">Cancel</button></p>
</div>`;
}

export function hostOf(vault: string): string {
  return URL.parse(vault)?.host ?? vault;
}
