import type { SecretProperties } from "../ports.ts";

/**
 * One text and one date for all that are equal in a listing. A vault may hold thousands of secrets, but they are of few
 * mints, so that most of what their tags say is said many times.
 */
export class SharedFacts {
  readonly #texts = new Map<string, string>();
  readonly #dates = new Map<number, Date>();

  in({ name, enabled, tags, ...rest }: SecretProperties): SecretProperties {
    const { version, expiresOn, createdOn, contentType } = rest;
    return {
      name,
      enabled,
      tags: this.#tags(tags),
      ...(version === undefined ? {} : { version }),
      ...(expiresOn === undefined ? {} : { expiresOn: this.#date(expiresOn) }),
      ...(createdOn === undefined ? {} : { createdOn: this.#date(createdOn) }),
      ...(contentType === undefined ? {} : { contentType: this.#text(contentType) }),
    };
  }

  #tags(tags: SecretProperties["tags"]): SecretProperties["tags"] {
    return Object.fromEntries(Object.entries(tags).map(([name, text]) => [name, this.#text(text)]));
  }

  #text(text: string): string {
    return firstOf(this.#texts, text, text);
  }

  #date(date: Date): Date {
    return firstOf(this.#dates, date.getTime(), date);
  }
}

function firstOf<Key, Value>(known: Map<Key, Value>, key: Key, value: Value): Value {
  const first = known.get(key);
  if (first === undefined) {
    known.set(key, value);
  }
  return first ?? value;
}
