// The contract of a token source of your own: an ES module beside the configuration that exports a mint function
// (docs/sources/module.md). The package exports these types, for TypeScript and for comments in JavaScript:
//
//   /** @type {import("keyvault-token-rotator").MintFunction<{ url: string }>} */
//   export const mint = async ({ fetch, readSecret, options }) => { … };

/** What a mint function is given. */
export interface ModuleContext<Options = unknown> {
  /** `options` of the source in the configuration, frozen; an empty object where there are none. */
  readonly options: Options;
  /** Milliseconds since the epoch. Use it instead of `Date.now()`: in a simulation time is not the machine's. */
  readonly now: () => number;
  /**
   * The current value of a secret that `secrets` of the source names. Rejects where it is not there, and for any other
   * name.
   */
  readonly readSecret: (name: string) => Promise<string>;
  /**
   * `fetch` for secrets: https only (http for loopback), no redirect is followed, the answer is limited to 1 MiB, and it
   * ends with `signal`. What it rejects with may simply be passed on: it says whether trying again may help.
   */
  readonly fetch: typeof globalThis.fetch;
  /** Aborts when the time for this call is up. */
  readonly signal: AbortSignal;
}

/** What a mint function returns. */
export interface ModuleToken {
  /** One line, not empty. */
  readonly token: string;
  /** When it expires: a valid `Date`, or ISO 8601 text with a time zone, such as `2030-01-31T08:00:00Z`. Never a number. */
  readonly expiresOn: Date | string;
  /** When it was issued, in the same forms. Default now. */
  readonly issuedOn?: Date | string | undefined;
  /** Whom it speaks for, where the token does not tell. It must not change from one token to the next. */
  readonly subject?: string | undefined;
}

/**
 * Mints one token. What it throws is reported by name and code only, never by its message, which may hold a secret; it is
 * tried again at the next tick. Give the error a `code` of letters, digits and `_` to see it in the report.
 */
export type MintFunction<Options = unknown> = (
  context: ModuleContext<Options>,
) => ModuleToken | Promise<ModuleToken>;
