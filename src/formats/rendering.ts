import { problems, RotatorError } from "../errors.ts";
import type { Rendered, Token } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";

/*
 * What every format shares: the limits of a secret, and taking apart a token whose parts may be missing.
 */

export const formatProblems = problems({
  FormatTooLarge: {
    message: "The secret would be larger than Key Vault takes.",
    remedy: "Lay out less in one secret: fewer hosts, fields or variables; Key Vault takes 25 KB.",
    retryable: false,
  },
  FormatMultiline: {
    message: "A line break or another control character would stand where the reader takes one line.",
    remedy:
      "Look at what the source returns; where the reader does take several lines, use the format template with multiline.",
    retryable: false,
  },
  FormatFieldMissing: {
    message: "The token does not carry something that the format writes.",
    remedy:
      "Compare the field in the facts with what the source gives, or take it out of the format's options.",
    retryable: false,
  },
  FormatKeyInvalid: {
    message: "What the source gave as private key is not an unencrypted private key.",
    remedy: "Let the source give an unencrypted key in PEM (BEGIN PRIVATE KEY).",
    retryable: false,
  },
  FormatNotQuotable: {
    message: "A value cannot be written so that all readers of such a file read it alike.",
    remedy:
      "It has a single quote beside another special character, or a backslash at its end; give it a secret of its own (raw).",
    retryable: false,
  },
  TemplateInvalid: {
    message: "The template cannot be used.",
    remedy: "Mend the template at the place in the facts; docs/formats.md lists what a template may use.",
    retryable: false,
  },
});

/**
 * The largest value of a secret in octets.
 * https://learn.microsoft.com/azure/key-vault/secrets/about-secrets (25 KB)
 */
export const maxSecretBytes = 25 * 1024;

/** @throws RotatorError `FormatTooLarge` */
export function rendered(text: string, contentType: string): Rendered {
  const value = new SecretValue(text);
  if (value.byteLength > maxSecretBytes) {
    throw new RotatorError(formatProblems.FormatTooLarge, {
      facts: { bytes: value.byteLength, limit: maxSecretBytes },
    });
  }
  return { value, contentType };
}

/**
 * The token as text that can stand in a line.
 * @throws RotatorError `FormatMultiline`
 */
export function tokenLine(token: Token): string {
  return singleLine(token.value.reveal(), "token");
}

/**
 * @param what Names the text in the error.
 * @throws RotatorError `FormatMultiline`
 */
export function singleLine(text: string, what: string): string {
  if (/\p{Cc}/u.test(text)) {
    throw new RotatorError(formatProblems.FormatMultiline, { facts: { field: what } });
  }
  return text;
}

/** @throws RotatorError `FormatFieldMissing` */
export function companionOf(token: Token, name: string): SecretValue {
  return required(token.companions, name, "companions");
}

/** @throws RotatorError `FormatFieldMissing` */
export function attributeOf(token: Token, name: string): string {
  return required(token.attributes, name, "attributes");
}

function required<T>(parts: Readonly<Record<string, T>> | undefined, name: string, kind: string): T {
  const part = parts !== undefined && Object.hasOwn(parts, name) ? parts[name] : undefined;
  if (part === undefined) {
    throw fieldMissing(`${kind}.${name}`);
  }
  return part;
}

export function fieldMissing(field: string): RotatorError {
  return new RotatorError(formatProblems.FormatFieldMissing, { facts: { field } });
}
