import type { RotatorError } from "../../errors.ts";
import { pageDocument } from "./document.ts";
import { html } from "./html.ts";

/** In place of the rotations. The facts of the occurrence are in the log. */
export function problemPage({ code, message, remedy }: RotatorError, refreshSeconds: number): string {
  return pageDocument(
    "A problem – Token rotations",
    html`<main class="narrow" data-refresh="${refreshSeconds}">
<h1>Token rotations</h1>
<div class="panel notice bad" id="outcome" tabindex="-1">
<h2>${message}</h2>
<p>${remedy}</p>
<p class="help"><code>${code}</code></p>
</div>
</main>`,
  );
}
