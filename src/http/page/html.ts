/** Text that is HTML already. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Html[] | undefined;

/** Puts values into HTML: whatever is not {@link Html} itself is escaped; `undefined` is nothing. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(texts.map((text, index) => text + render(parts[index])).join(""));
}

function render(part: Part): string {
  if (part instanceof Html) {
    return part.text;
  }
  if (typeof part === "object") {
    return part.map(({ text }) => text).join("");
  }
  return part === undefined ? "" : String(part).replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
