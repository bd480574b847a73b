import { safeFetch } from "../oauth/safeFetch.ts";
import { type Instance, NoAnswer } from "./instance.ts";
import type { World } from "./world.ts";

/**
 * What a provider does about refresh tokens. `kept`: the same for ever. `replaced`: a new one with every answer, and the old
 * ones stay good (Microsoft). `oneTime`: a new one with every answer, and whoever offers an old one again loses them all.
 */
export type RefreshTokens = "kept" | "replaced" | "oneTime";

export interface ProviderPolicy {
  readonly lifetimeMs: number;
  readonly refreshTokens: RefreshTokens;
}

interface RefreshToken {
  readonly text: string;
  readonly signIn: number;
  spent: number;
  /** Whom an answer to its spending has reached. */
  answered: Instance | undefined;
  /** The one that was given for it. */
  next: string | undefined;
}

/** What a refresh token is spent on, for those who watch. */
export interface Spending {
  readonly provider: ProviderModel;
  /** How often it had been spent before. */
  readonly before: number;
  /** Whether who spends it now had the answer to that, or could have found the next one in the vault. */
  readonly knownSpent: boolean;
}

/** One OAuth server with one account. */
export class ProviderModel {
  readonly host: string;
  policy: ProviderPolicy;
  readonly #world: World;
  readonly #refreshTokens = new Map<string, RefreshToken>();
  /** Sign-ins whose refresh tokens were all taken back. */
  readonly #revoked = new Set<number>();
  /** Refresh tokens that somebody has put into a vault. */
  readonly #stored = new Set<string>();
  #signIns = 0;
  #made = 0;
  /** The newest refresh token that has reached anybody, and whom. */
  newest: { readonly text: string; readonly holder: Instance | undefined } | undefined;

  constructor(world: World, host: string, policy: ProviderPolicy) {
    this.#world = world;
    this.host = host;
    this.policy = policy;
  }

  /** Somebody signs in: the first refresh token of a new line. */
  signIn(): string {
    this.#signIns += 1;
    const { text } = this.#refreshToken(this.#signIns);
    this.newest = { text, holder: undefined };
    return text;
  }

  /** Whether it would be taken now. */
  accepts(text: string): boolean {
    const token = this.#refreshTokens.get(text);
    return (
      token !== undefined &&
      !this.#revoked.has(token.signIn) &&
      (token.spent === 0 || this.policy.refreshTokens !== "oneTime")
    );
  }

  /** Whether somebody has put it into a vault. */
  isStored(text: string): boolean {
    return this.#stored.has(text);
  }

  /** A secret was put into a vault. */
  noteStored(text: string): void {
    if (this.#refreshTokens.has(text)) {
      this.#stored.add(text);
    }
  }

  /** Somebody else spends it, and keeps what comes of it. */
  spendElsewhere(text: string): void {
    const token = this.#refreshTokens.get(text);
    if (token !== undefined && this.policy.refreshTokens === "oneTime") {
      token.spent += 1;
    }
  }

  /** Takes one request, at the moment when it arrives. */
  take(path: string, form: URLSearchParams, by: Instance): Taken {
    if (path.endsWith("/credentials")) {
      const { value, expiresAt } = this.#token();
      const body = { token: value.reveal(), expiration_time: new Date(expiresAt).toISOString() };
      return { status: 200, body, delivered: () => {} };
    }
    if (form.get("grant_type") !== "refresh_token") {
      return { status: 200, body: this.#answer(), delivered: () => {} };
    }
    const offered = this.#refreshTokens.get(form.get("refresh_token") ?? "");
    if (offered === undefined) {
      return refused;
    }
    const { answered, next: after = "" } = offered;
    const knownSpent = answered === by || this.#stored.has(after);
    this.#world.refreshTokenSpent({ provider: this, before: offered.spent, knownSpent });
    if (!this.accepts(offered.text)) {
      this.#revoked.add(offered.signIn);
      return refused;
    }
    offered.spent += 1;
    const next = this.policy.refreshTokens === "kept" ? offered : this.#refreshToken(offered.signIn);
    offered.next = next.text;
    return {
      status: 200,
      body: { ...this.#answer(next.text), refresh_token: next.text },
      delivered: () => {
        offered.answered = by;
        // Where somebody has signed in meanwhile, theirs is newer.
        if (offered.signIn === this.#signIns) {
          this.newest = { text: next.text, holder: by };
        }
      },
    };
  }

  #answer(refreshToken?: string): object {
    const { value, expiresAt, issuedAt } = this.#token(refreshToken);
    return {
      access_token: value.reveal(),
      token_type: "Bearer",
      expires_in: Math.floor((expiresAt - issuedAt) / 1000),
    };
  }

  #token(refreshToken?: string) {
    return this.#world.tokens.issue(
      `account at ${this.host}`,
      this.#world.clock.now(),
      this.policy.lifetimeMs,
      { iss: this.host },
      refreshToken,
    );
  }

  #refreshToken(signIn: number): RefreshToken {
    this.#made += 1;
    const token: RefreshToken = {
      text: `refresh-token-${this.#made}-${this.host}`,
      signIn,
      spent: 0,
      answered: undefined,
      next: undefined,
    };
    this.#refreshTokens.set(token.text, token);
    // A year makes many; those long spent need not be remembered.
    const [oldest] = this.#refreshTokens.keys();
    if (this.#refreshTokens.size > 500 && oldest !== undefined) {
      this.#refreshTokens.delete(oldest);
      this.#stored.delete(oldest);
    }
    return token;
  }
}

interface Taken {
  readonly status: number;
  readonly body: object;
  readonly delivered: () => void;
}

const refused: Taken = { status: 400, body: { error: "invalid_grant" }, delivered: () => {} };

/** The product's own `fetch`, with the models at its other end. */
export function fetchOver(world: World, instance: Instance): typeof globalThis.fetch {
  return safeFetch(async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const form = new URLSearchParams(String(init?.body ?? ""));
    const operation = form.get("grant_type") ?? "api";
    let taken: Taken | undefined;
    try {
      const { status, body } = await instance.call(
        {
          service: "provider",
          operation,
          target: url.host,
          about: form.get("refresh_token") ?? url.pathname,
        },
        () => {
          taken = world.provider(url.host).take(url.pathname, form, instance);
          return taken;
        },
        () => taken?.delivered(),
      );
      return Response.json(body, { status });
    } catch (error) {
      if (!(error instanceof NoAnswer)) {
        throw error;
      }
      const { status, retryAfterSeconds, code } = error;
      if (status === undefined) {
        throw new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
      }
      const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
      return new Response("", { status, headers });
    }
  });
}
