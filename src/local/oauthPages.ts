/*
 * The pages of the embedded authorization servers. They work without JavaScript and load nothing, so that a browser
 * without a network shows them.
 */

/** Who signs in to what: one form for both the sign-in and the consent. */
export function signInPage(request: {
  readonly client: string;
  readonly scopes: readonly string[];
  readonly account: string;
}): string {
  const scopes = request.scopes.map((scope) => `<li><code>${escaped(scope)}</code></li>`).join("");
  return page(
    "Sign in",
    `<p><strong>${escaped(request.client)}</strong> asks for:</p>
    <ul>${scopes}</ul>
    <form method="post">
      <label>Account <input name="account" value="${escaped(request.account)}" autocomplete="off" required autofocus></label>
      <button name="decision" value="allow">Sign in and allow</button>
      <button name="decision" value="deny" formnovalidate>Refuse</button>
    </form>`,
  );
}

/** Where the code of a device is entered. `form` comes from the library and has no button of its own. */
export function deviceCodePage(form: string, wrong: boolean): string {
  return page(
    "Enter the code",
    `<p>${wrong ? "That is not a code that waits to be entered. Try again." : "Enter the code that the program shows."}</p>
    ${form}
    <button type="submit" form="op.deviceInputForm">Continue</button>`,
  );
}

export function deviceConfirmPage(form: string, client: string, userCode: string): string {
  return page(
    "Is this your code?",
    `<p><strong>${escaped(client)}</strong> should show the code <code>${escaped(userCode)}</code>.</p>
    ${form}
    <button type="submit" form="op.deviceConfirmForm">It does</button>
    <button type="submit" form="op.deviceConfirmForm" name="abort" value="yes">It does not</button>`,
  );
}

export function donePage(): string {
  return page("Signed in", "<p>You can close this window.</p>");
}

export function errorPage(error: string): string {
  return page("That did not work", `<p>The authorization server says <code>${escaped(error)}</code>.</p>`);
}

function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>${title}</title>
    <style>
      body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem }
      input { display: block; width: 100%; box-sizing: border-box; padding: .5rem; margin: .25rem 0 1rem; font: inherit }
      button { padding: .5rem 1rem; margin-right: .5rem; font: inherit }
    </style>
  </head>
  <body>
    <h1>${title}</h1>
    ${content}
  </body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
