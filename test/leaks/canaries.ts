/** Below this a text is no secret, but a word that may stand anywhere. */
const shortest = 16;

/** A canary found where none may be. Never the canary itself: a test's report is kept too. */
export interface Leak {
  readonly place: string;
  /** Which secret: `access_token of partner.token`. */
  readonly secret: string;
  readonly form: string;
  readonly offset: number;
}

interface Needle {
  readonly bytes: Buffer;
  readonly secret: string;
  readonly form: string;
}

/** The secrets of a test run, and the search for them, in every form that they could have taken on the way. */
export class Canaries {
  readonly #known = new Set<string>();
  /** By their last four bytes: tokens begin alike, and end in a signature. */
  readonly #byTail = new Map<number, Needle[]>();
  readonly #mayBegin = new Uint8Array(1 << 16);

  get count(): number {
    return this.#known.size;
  }

  /** @param secret What it is, for the report. */
  add(text: string, secret: string): void {
    for (const part of partsOf(text)) {
      if (part.length >= shortest && !this.#known.has(part)) {
        this.#known.add(part);
        for (const [form, written] of formsOf(part)) {
          this.#addNeedle({ bytes: Buffer.from(written), secret, form });
        }
      }
    }
  }

  find(place: string, content: string | Buffer): Leak[] {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const leaks: Leak[] = [];
    for (let at = 0; at + tailBytes <= bytes.length; at += 1) {
      const tail = bytes.readUInt32LE(at);
      if (this.#mayBegin[tail >>> 16] === 1) {
        for (const { bytes: needle, secret, form } of this.#byTail.get(tail) ?? []) {
          const offset = at - (needle.length - tailBytes);
          if (offset >= 0 && bytes.compare(needle, 0, needle.length, offset, offset + needle.length) === 0) {
            leaks.push({ place, secret, form, offset });
          }
        }
      }
    }
    return leaks;
  }

  #addNeedle(needle: Needle): void {
    const tail = needle.bytes.readUInt32LE(needle.bytes.length - tailBytes);
    this.#mayBegin[tail >>> 16] = 1;
    const others = this.#byTail.get(tail) ?? [];
    if (!others.some(({ bytes }) => bytes.equals(needle.bytes))) {
      this.#byTail.set(tail, [...others, needle]);
    }
  }
}

const tailBytes = 4;

/** A part that gives the secret away as well as the whole does. The header of a JWT does not: many tokens share it. */
function partsOf(text: string): string[] {
  const tokens = text.match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g) ?? [];
  const keyLines = text.includes("PRIVATE KEY") ? (text.match(/^[A-Za-z0-9+/=]{40,}$/gm) ?? []) : [];
  return [text, ...tokens, ...tokens.flatMap((token) => token.split(".").slice(1)), ...keyLines];
}

function formsOf(text: string): [form: string, written: string][] {
  const bytes = Buffer.from(text);
  const escaped = JSON.stringify(text).slice(1, -1);
  const percent = encodeURIComponent(text);
  const hex = bytes.toString("hex");
  return [
    ["plain", text],
    ["JSON", escaped],
    ["JSON in JSON", JSON.stringify(escaped).slice(1, -1)],
    ["percent-encoded", percent],
    ["percent-encoded in lower case", percent.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase())],
    ["form", new URLSearchParams([["", text]]).toString().slice(1)],
    ["HTML", text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")],
    ["hex", hex],
    ["HEX", hex.toUpperCase()],
    ...[0, 1, 2].flatMap((before): [string, string][] => [
      [`base64 after ${before} bytes`, base64Within(bytes, before, "base64")],
      [`base64url after ${before} bytes`, base64Within(bytes, before, "base64url")],
    ]),
  ];
}

/** The characters that these bytes have in the base64 of any text in which so many bytes (modulo 3) stand before them. */
function base64Within(bytes: Buffer, before: number, encoding: "base64" | "base64url"): string {
  const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString(encoding);
  return encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
}
