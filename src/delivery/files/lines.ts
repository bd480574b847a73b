/*
 * Files of users are edited as latin1 text: every byte is one character, so what is not understood comes out as it went in,
 * whatever its encoding.
 */

export interface Line {
  readonly text: string;
  /** `\n`, `\r\n`, `\r`, or nothing at the end of a file. */
  readonly end: string;
}

/** Every byte as one character. */
export function charactersOf(bytes: Buffer | undefined): string {
  return bytes?.toString("latin1") ?? "";
}

export function bytesOf(characters: string): Buffer {
  return Buffer.from(characters, "latin1");
}

/** A text of ours, in UTF-8, as such characters. */
export function charactersOfText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/**
 * The lines of a file; put together again they are the file.
 * @param ending what ends a line, with the flag `g`; readers of different files do not agree on it.
 */
export function linesOf(characters: string, ending: RegExp): Line[] {
  const lines: Line[] = [];
  let start = 0;
  for (const { 0: end, index } of characters.matchAll(ending)) {
    lines.push({ text: characters.slice(start, index), end });
    start = index + end.length;
  }
  if (start < characters.length) {
    lines.push({ text: characters.slice(start), end: "" });
  }
  return lines;
}

export function joined(lines: readonly Line[]): string {
  return lines.map(({ text, end }) => text + end).join("");
}

/** How the file ends its lines. */
export function endingOf(lines: readonly Line[]): string {
  return lines.find(({ end }) => end !== "")?.end ?? "\n";
}

/** `lines` with others at a place among them; a last line without an end gets one where something comes after it. */
export function inserted(lines: readonly Line[], at: number, added: readonly string[]): Line[] {
  const end = endingOf(lines);
  const before = lines.slice(0, at).map((line) => (line.end === "" ? { ...line, end } : line));
  return [...before, ...added.map((text) => ({ text, end })), ...lines.slice(at)];
}
