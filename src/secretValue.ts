import { hash } from "node:crypto";
import { inspect } from "node:util";

const redacted = "[redacted]";

/**
 * A token, client secret or private key, wrapped from the moment it is minted or read until it is written.
 *
 * Printing, interpolating, serialising or inspecting it gives `[redacted]`; only {@link SecretValue.reveal} gives the
 * text, and only the place that writes it (a vault, a file, a request to the provider) should call that.
 */
export class SecretValue {
  readonly #text: string;
  #fingerprint: string | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself. Call it only where the value is written or sent. */
  reveal(): string {
    return this.#text;
  }

  /** Size in octets of the UTF-8 form; what Key Vault's 25 KB limit counts. */
  get byteLength(): number {
    return Buffer.byteLength(this.#text, "utf8");
  }

  /**
   * 32 hex digits of SHA-256: equal for equal values. Safe to store beside the value, because a token holds far more
   * entropy than could be searched; do not use it for passwords that people choose.
   */
  fingerprint(): string {
    this.#fingerprint ??= hash("sha256", this.#text, "hex").slice(0, 32);
    return this.#fingerprint;
  }

  /** Whether both hold the same text. */
  equals(other: SecretValue): boolean {
    return this.#text === other.#text;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.toPrimitive](): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
