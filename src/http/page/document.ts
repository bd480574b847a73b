import { createHash } from "node:crypto";
import { Html, html } from "./html.ts";
import { script } from "./script.ts";
import { styles } from "./styles.ts";

/** A whole document around its main part. Nothing in it is loaded from anywhere. */
export function pageDocument(title: string, main: Html): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${icon}">
<style>${new Html(styles)}</style>
</head>
<body>
${main}
<p id="said" class="said" role="status"></p>
<script>${new Html(script)}</script>
</body>
</html>
`.text;
}

/**
 * Headers of a document, in place of those that every answer has. The policy names its one script and its one style sheet
 * by their hashes. The address may go to the page's own site: without it a browser hides the origin of a form.
 */
export const pageHeaders = {
  "content-security-policy": [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(styles)}'`,
    "img-src data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "referrer-policy": "same-origin",
};

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text, "utf8").digest("base64")}`;
}

const icon = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="none" stroke="#3b6fd4" stroke-width="3" stroke-dasharray="25 13" stroke-linecap="round" transform="rotate(-90 8 8)"/></svg>',
)}`;
