import { pageDocument } from "./document.ts";
import { html } from "./html.ts";

/**
 * What somebody sees before a key was given: it says nothing of this installation. The script sends the key as a header,
 * so that it stands in no address, log or history.
 */
export function signInPage(): string {
  return pageDocument(
    "Token rotations",
    html`<main class="narrow">
<h1>Token rotations</h1>
<form id="sign-in" class="panel sign-in">
<label for="key">Function key</label>
<input id="key" type="password" required autocomplete="off" spellcheck="false" aria-describedby="key-help refused">
<p id="refused" class="refused" role="alert"></p>
<button type="submit" class="primary">Show the rotations</button>
<p id="key-help" class="help">The key of the function <code>ui-page</code>. It stays in this tab and is sent as a header, never in an address.</p>
</form>
<noscript><p class="panel notice warn">This sign-in needs JavaScript. With Entra ID sign-in in front of the app the page needs none.</p></noscript>
</main>`,
  );
}
