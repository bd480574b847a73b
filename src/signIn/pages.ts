/** What the browser shows at the end of a sign-in. */

export function signedInPage(rotation: string): string {
  return page("Signed in", `The rotation ${rotation} goes on by itself. You can close this window.`);
}

/** Only our own words: what the provider sent is not repeated. */
export function notSignedInPage(message: string): string {
  return page(
    "That did not work",
    `${message} The program that you called says more. You can close this window.`,
  );
}

function page(title: string, text: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>${escaped(title)}</title>
    <style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem }</style>
  </head>
  <body>
    <h1>${escaped(title)}</h1>
    <p>${escaped(text)}</p>
  </body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
