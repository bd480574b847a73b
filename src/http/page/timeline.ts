import { type Html, html } from "./html.ts";
import type { Life } from "./rows.ts";

/**
 * A life from its issue to its expiry, or to now where it is over, with the renewal and the moment that is now. Positions are
 * percentages, so that it is as wide as there is room; sizes are attributes, because the page's policy forbids styles inside
 * of elements. The same is said in words beside it.
 */
export function timeline({ issuedAt, renewAt, staleAt, expiresAt }: Life, now: number): Html {
  const endsAt = Math.max(expiresAt, now, issuedAt + 1);
  const at = (time: number) => {
    const share = (time - issuedAt) / (endsAt - issuedAt);
    return Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10;
  };
  const [stale, spent] = [at(staleAt), at(now)];
  const renewal =
    renewAt === undefined
      ? undefined
      : html`<rect class="renewal" x="${at(renewAt)}%" y="2" width="2" height="14" rx="1"/>`;
  return html`<svg class="timeline" aria-hidden="true" focusable="false">
<rect class="track" y="6" width="100%" height="6" rx="3"/>
<rect class="danger" x="${stale}%" y="6" width="${(100 - stale).toFixed(1)}%" height="6" rx="3"/>
<rect class="spent" y="6" width="${spent}%" height="6" rx="3"/>
${renewal}<circle class="now" cx="${spent}%" cy="9" r="5"/>
</svg>`;
}
