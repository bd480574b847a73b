/** One column on a phone, a line for each rotation where there is room; light or dark as the system is. */
export const styles = `
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --panel: #ffffff; --ink: #1a1f29; --soft: #545c6b; --line: #e1e4ea; --track: #e4e7ed;
  --accent: #2456b8; --on-accent: #ffffff;
  --good: #17683c; --good-tint: #e3f3ea; --good-fill: #58b383;
  --busy: #1d4fa8; --busy-tint: #e5edfb; --busy-fill: #6d9ae6;
  --warn: #8a4b00; --warn-tint: #fdf0d9; --warn-fill: #e2a545;
  --bad: #a61b22; --bad-tint: #fde8e7; --bad-fill: #dd6a66;
  --idle: #535b69; --idle-tint: #eceef2; --idle-fill: #a6aebb;
  --danger: #f7d9d5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #101318; --panel: #181c23; --ink: #e6e9ef; --soft: #a4adbb; --line: #2a303a; --track: #2c333e;
    --accent: #86aef5; --on-accent: #0d1628;
    --good: #7fd4a4; --good-tint: #14301f; --good-fill: #3f8f63;
    --busy: #93b8fa; --busy-tint: #17284a; --busy-fill: #4a76c2;
    --warn: #f0bb6a; --warn-tint: #3a2a10; --warn-fill: #b07c2a;
    --bad: #ff9d96; --bad-tint: #421c1b; --bad-fill: #b54b48;
    --idle: #aab3c0; --idle-tint: #262c36; --idle-fill: #5e6876;
    --danger: #4f2a2b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 0.9375rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 80rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 2rem) 3rem; }
main.narrow { max-width: 32rem; }
h1, h2, h3, h4, p, ul, dl, dd { margin: 0; padding: 0; }
ul { list-style: none; }
h1 { font-size: 1rem; font-weight: 600; }
h2 { font-size: 0.8125rem; font-weight: 600; color: var(--soft); margin: 1.5rem 0 0.5rem; }
h3 { font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
h4 { font-size: 1rem; margin-bottom: 0.5rem; }
code { font: 0.8125rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
.help, .as-of, footer { color: var(--soft); font-size: 0.8125rem; }
header > div { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; align-items: baseline; }
.headline { font-size: clamp(1.375rem, 4vw, 1.875rem); font-weight: 650; letter-spacing: -0.015em; line-height: 1.2; margin: 0.375rem 0 0.75rem; }
.headline::before { content: ""; display: inline-block; width: 0.5em; height: 0.5em; border-radius: 50%; background: var(--fill); margin-right: 0.375em; vertical-align: 0.1em; }
.headline.bad::before { border-radius: 0; transform: rotate(45deg); }
.counts { display: flex; flex-wrap: wrap; gap: 0.375rem; }
.badge {
  display: inline-flex; align-items: center; gap: 0.375rem; width: fit-content;
  border-radius: 999px; padding: 0.0625rem 0.5625rem; font-size: 0.8125rem; font-weight: 600;
}
.badge::before { content: ""; flex: none; width: 0.5em; height: 0.5em; border-radius: 50%; background: currentColor; }
.badge.bad::before { border-radius: 0; transform: rotate(45deg); }
.badge.warn::before { border-radius: 0; }
.badge.busy::before { background: none; border: 0.15em solid; }
.badge.idle::before { border-radius: 0; height: 0.25em; }
.good { --tone: var(--good); --tint: var(--good-tint); --fill: var(--good-fill); }
.busy { --tone: var(--busy); --tint: var(--busy-tint); --fill: var(--busy-fill); }
.warn { --tone: var(--warn); --tint: var(--warn-tint); --fill: var(--warn-fill); }
.bad { --tone: var(--bad); --tint: var(--bad-tint); --fill: var(--bad-fill); }
.idle { --tone: var(--idle); --tint: var(--idle-tint); --fill: var(--idle-fill); }
.badge, .notice { background: var(--tint); color: var(--tone); }
.notice { padding: 0.75rem 1rem; margin-top: 1rem; border-color: transparent; }
.notice h2 { color: inherit; font-size: 1rem; margin: 0 0 0.25rem; }
.notice .help { color: inherit; }
.row { display: grid; grid-template: "who act" "outputs outputs" "next next" / 1fr auto; gap: 0.625rem 1.75rem; padding: 0.75rem 1rem; border-top: 1px solid var(--line); }
.row:first-child { border-top: 0; }
.who { grid-area: who; display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: center; align-content: flex-start; }
.outputs { grid-area: outputs; display: grid; gap: 0.75rem; align-content: start; min-width: 0; }
.secrets { display: flex; flex-wrap: wrap; gap: 0 0.75rem; align-items: baseline; }
.secrets code { color: var(--soft); }
.secrets b { font-weight: 600; font-size: 0.8125rem; margin-left: auto; }
.timeline { display: block; width: 100%; height: 18px; overflow: visible; }
.track { fill: var(--track); }
.danger { fill: var(--danger); }
.spent { fill: var(--fill); }
.renewal { fill: var(--ink); }
.now { fill: var(--ink); stroke: var(--panel); stroke-width: 2; }
dl { display: flex; justify-content: space-between; gap: 0 0.75rem; flex-wrap: wrap; font-size: 0.75rem; color: var(--soft); }
dt, dd { display: inline; }
.next { grid-area: next; min-width: 0; font-size: 0.875rem; }
.act { grid-area: act; justify-self: end; }
.next .help { margin-top: 0.125rem; }
.consumers { margin-top: 0.375rem; font-size: 0.8125rem; display: grid; gap: 0.125rem; }
.consumers b { color: var(--tone); font-weight: 600; }
.consumers .help { display: block; }
button {
  font: inherit; font-size: 0.8125rem; font-weight: 600; color: var(--ink); background: var(--panel);
  border: 1px solid var(--line); border-radius: 7px; padding: 0.375rem 0.75rem; min-height: 2rem; cursor: pointer; white-space: nowrap;
}
button:hover { border-color: var(--soft); }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button[aria-disabled="true"] { color: var(--soft); cursor: progress; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.confirm { margin: auto; max-width: min(26rem, calc(100vw - 2rem)); padding: 1.25rem; color: var(--ink); box-shadow: 0 12px 40px rgb(0 0 0 / 0.25); }
.confirm::backdrop { background: rgb(10 14 20 / 0.35); }
.buttons { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 1rem; }
.sign-in { display: grid; gap: 0.5rem; padding: 1.25rem; margin-top: 1rem; }
.sign-in label { font-weight: 600; }
.sign-in input { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--soft); border-radius: 7px; padding: 0.5rem 0.625rem; width: 100%; }
.sign-in .primary { justify-self: start; }
.refused { color: var(--bad); }
.refused:empty, .said:empty { display: none; }
.said { position: fixed; inset: auto 1rem 1rem auto; max-width: calc(100vw - 2rem); background: var(--ink); color: var(--ground); border-radius: 7px; padding: 0.5rem 0.875rem; font-size: 0.8125rem; }
footer { margin-top: 1.5rem; display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.legend li { display: flex; align-items: center; gap: 0.375rem; }
.legend svg { width: 14px; height: 18px; overflow: visible; }
@media (min-width: 58rem) {
  .row { grid-template: "who outputs next act" / minmax(9rem, 12rem) minmax(18rem, 1fr) minmax(13rem, 19rem) 7.25rem; }
  .who { flex-direction: column; align-items: flex-start; }
}
@media (prefers-reduced-motion: no-preference) {
  button { transition: border-color 0.15s; }
}
@media (forced-colors: active) {
  .track { fill: GrayText; } .spent { fill: Highlight; } .renewal, .now { fill: CanvasText; }
  .badge { border: 1px solid; }
}
`;
