import { retry } from "../core/retry.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { TokenAnswer } from "../oauth/answer.ts";
import type { JsonObject } from "../oauth/endpoint.ts";
import { needsSignIn } from "../oauth/problems.ts";
import type { SecretReferenceOption, SourceEnvironment } from "../plugins.ts";
import type { CallContext, MintContext, SecretProperties } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";

export const refreshTokenProblems = problems({
  SignInRequired: {
    message: "Somebody must sign in: there is no refresh token, or it is no longer accepted.",
    remedy: "Run the command in the facts where a browser is at hand; the next tick goes on from there.",
    retryable: false,
  },
  RefreshTokenLost: {
    message:
      "The provider gave a new refresh token and the vault did not take it; nothing was published, and a new sign-in may be needed.",
    remedy:
      "Mend what keeps the vault from taking it. Where the provider accepts the old refresh token again (Microsoft does), the next tick recovers by itself; else run the command in the facts.",
    retryable: false,
  },
  RefreshTokenReplaced: {
    message: "Another refresh token was stored while this run was using the one before, which is refused.",
    remedy:
      "Nothing to do: the next try uses the one that is stored now. If it recurs, look for a second deployment, or a laptop, that works on the same secret without the same LEASE_CONTAINER_URL.",
    retryable: true,
  },
});

/** Where a refresh token is kept and how long such tokens live. */
export interface Keeping {
  readonly reference: SecretReferenceOption;
  /** `undefined` where it is not known. */
  readonly lifetimeMs: number | undefined;
  /** Its life counts from the sign-in, and the tokens that replace it inherit its end. */
  readonly endsWithSignIn: boolean;
}

/**
 * Asks for an access token.
 * @param adapt must be shown the provider's answer before anything in it is checked.
 */
export type Grant = (
  refreshToken: SecretValue,
  adapt: (body: JsonObject) => JsonObject,
  context: CallContext,
) => Promise<TokenAnswer>;

export interface Renewal {
  readonly answer: TokenAnswer;
  /** The one that is in force now: it is the one that the vault holds. */
  readonly refreshToken: SecretValue;
  /** As of `Token`. */
  readonly signInBy?: Date;
}

type Environment = Pick<SourceEnvironment, "clock" | "secrets" | "leases" | "rotation">;

interface Held {
  readonly value: SecretValue;
  readonly properties: SecretProperties;
}

interface Unstored {
  readonly value: SecretValue;
  readonly expiresOn: Date | undefined;
  /** Fingerprint of the refresh token that was spent for it; absent where there was none. */
  readonly replaces?: string;
}

/** On a version whose refresh token the provider refuses: its fingerprint, and why. */
const refusedTag = "refused";
const becauseTag = "refused-because";

/** A refresh token that only this process knows is worth so much time at least, whatever the tick has left. */
const leastStoringMs = 30_000;
/** The last date that the Key Vault client can write. */
const latestExpiryMs = (2 ** 31 - 1) * 1000;
const longestNoticeMs = 14 * 24 * 3_600_000;

/**
 * Spends the refresh token of one secret, and never loses one: only one run at a time, and what the provider gives is
 * stored before it is used. A refresh token that was refused is not offered again until another one is stored.
 */
export class RefreshTokenKeeper {
  readonly #keeping: Keeping;
  readonly #environment: Environment;
  /** What the vault would not take although the token before it is spent; the next run begins with it. */
  #unstored: Unstored | undefined;

  constructor(keeping: Keeping, environment: Environment) {
    this.#keeping = keeping;
    this.#environment = environment;
  }

  /**
   * @throws RotatorError `SignInRequired`, `RefreshTokenLost`, `RefreshTokenReplaced`, `LeaseHeld`, `LeaseLost`; of the
   *   vault, and of the grant where trying again may help or the client is at fault.
   */
  async renew(context: MintContext, grant: Grant): Promise<Renewal> {
    return await this.#alone(context, async (within) => {
      const held = await this.#read(within, context.forced);
      within.signal.throwIfAborted();
      // Not cut short by the loss of the lease: the refresh token is spent by then, and only the answer has the next one.
      const { answer, next, error } = await spend(held.value, grant, context);
      let current = held;
      if (next !== undefined) {
        const expiresOn = this.#endOf(answer, held);
        current = await this.#store({ value: next, expiresOn, replaces: held.value.fingerprint() }, within);
      } else if (answer !== undefined && refusedTag in held.properties.tags) {
        await this.#mark(held, { [refusedTag]: undefined, [becauseTag]: undefined }, within);
      }
      if (answer === undefined) {
        throw needsSignIn(error) ? await this.#refused(held, asRotatorError(error), within) : error;
      }
      const end = current.properties.expiresOn;
      const signInBy = this.#isNear(end, answer) ? end : undefined;
      return { answer, refreshToken: current.value, ...(signInBy === undefined ? {} : { signInBy }) };
    });
  }

  /** Stores what a sign-in gave. Waits for a run that is using the one before. @throws RotatorError `RefreshTokenLost` */
  async put(refreshToken: SecretValue, answer: TokenAnswer, context: CallContext): Promise<SecretProperties> {
    const expiresOn = this.#endOf(answer, undefined);
    const { properties } = await this.#inTurn(context, (within) =>
      this.#store({ value: refreshToken, expiresOn }, within),
    );
    return properties;
  }

  /**
   * Tries a refresh token that somebody brings, and stores it, or the one that the trial gave for it.
   * @throws RotatorError of the grant where the provider does not accept it; nothing is stored then.
   */
  async bringIn(refreshToken: SecretValue, grant: Grant, context: CallContext): Promise<SecretProperties> {
    return await this.#inTurn(context, async (within) => {
      const { answer, next, error } = await spend(refreshToken, grant, context);
      if (answer === undefined && next === undefined) {
        throw error;
      }
      const expiresOn = this.#endOf(answer, undefined);
      const { properties } = await this.#store({ value: next ?? refreshToken, expiresOn }, within);
      if (answer === undefined) {
        throw error;
      }
      return properties;
    });
  }

  async #read(context: CallContext, forced: boolean): Promise<Held> {
    if (this.#unstored !== undefined) {
      await this.#store(this.#unstored, context);
    }
    const held = await this.#find(context);
    if (held === undefined || held.value.byteLength === 0) {
      throw this.#signInRequired("RefreshTokenMissing");
    }
    const { tags } = held.properties;
    // Asked for by name, the provider gets another chance: an administrator may have lifted what it refused.
    if (!forced && tags[refusedTag] === held.value.fingerprint()) {
      throw this.#signInRequired(tags[becauseTag] ?? "RefreshTokenRefused");
    }
    return held;
  }

  async #find(context: CallContext): Promise<Held | undefined> {
    const stored = await this.#environment.secrets.find(this.#keeping.reference, context);
    return (
      stored && {
        // A secret stored from a file often ends with the file's line break.
        value: new SecretValue(stored.value.reveal().trim()),
        properties: stored.properties,
      }
    );
  }

  /** Tries for as long as it may, whatever goes wrong. Gives what is stored in the end. */
  async #store(version: Unstored, context: CallContext): Promise<Held> {
    const { clock } = this.#environment;
    this.#unstored = version;
    const unhurried: CallContext = {
      // Not the caller's: whoever gives up now loses the only copy.
      signal: new AbortController().signal,
      giveUpAt: Math.max(context.giveUpAt, clock.now() + leastStoringMs),
    };
    try {
      const stored = await retry(() => this.#write(version, unhurried).catch(tryAgain), {
        clock,
        context: unhurried,
      });
      this.#unstored = undefined;
      return stored;
    } catch (error) {
      const cause = asRotatorError(error);
      throw new RotatorError(refreshTokenProblems.RefreshTokenLost, {
        cause,
        facts: { ...this.#facts(), because: cause.code },
      });
    }
  }

  async #write({ value, expiresOn, replaces }: Unstored, context: CallContext): Promise<Held> {
    if (replaces !== undefined) {
      const found = await this.#find(context);
      if (found !== undefined && found.value.fingerprint() !== replaces) {
        // Somebody has signed in meanwhile, or another run after the lease was lost; or it is there since the last try.
        return found;
      }
    }
    const contentType = "text/plain; format=refresh-token";
    const properties = await this.#environment.secrets.keep(
      this.#keeping.reference,
      { value, contentType, ...(expiresOn && { expiresOn }) },
      context,
    );
    return { value, properties };
  }

  /** Notes the refusal on the version, so that the next tick need not ask. */
  async #refused(held: Held, refusal: RotatorError, context: CallContext): Promise<RotatorError> {
    // Whatever fails here is no reason to hide what was found out; without the note the next tick asks once more.
    const unlessAborted = () => context.signal.throwIfAborted();
    const found = await this.#find(context).catch(unlessAborted);
    if (found !== undefined && !found.value.equals(held.value)) {
      // By a run that shares no lease with this one. Nobody need be called.
      const facts = this.#environment.secrets.resolve(this.#keeping.reference);
      return new RotatorError(refreshTokenProblems.RefreshTokenReplaced, {
        cause: refusal,
        facts: { ...facts },
      });
    }
    const tags = { [refusedTag]: held.value.fingerprint(), [becauseTag]: refusal.code };
    await this.#mark(held, tags, context).catch(unlessAborted);
    return this.#signInRequired(refusal.code, refusal);
  }

  async #mark(
    { properties }: Held,
    tags: Readonly<Record<string, string | undefined>>,
    context: CallContext,
  ): Promise<void> {
    await this.#environment.secrets.mark(this.#keeping.reference, properties, tags, context);
  }

  #signInRequired(because: string, cause?: RotatorError): RotatorError {
    return new RotatorError(refreshTokenProblems.SignInRequired, {
      cause,
      facts: { ...cause?.facts, ...this.#facts(), because },
    });
  }

  #facts(): { command: string; secret: string; vault: string } {
    const { secrets, rotation } = this.#environment;
    return { command: `token-rotator login ${rotation}`, ...secrets.resolve(this.#keeping.reference) };
  }

  #endOf(answer: TokenAnswer | undefined, replaced: Held | undefined): Date | undefined {
    const { lifetimeMs, endsWithSignIn } = this.#keeping;
    const inherited = endsWithSignIn ? replaced?.properties.expiresOn : undefined;
    const usual = lifetimeMs === undefined ? undefined : new Date(this.#environment.clock.now() + lifetimeMs);
    const end = answer?.refreshTokenExpiresOn ?? inherited ?? usual;
    return end === undefined || end.getTime() > latestExpiryMs ? undefined : end;
  }

  /** Whether somebody should be told: in the last quarter of its life, two weeks at most; or before the next renewal. */
  #isNear(end: Date | undefined, { expiresOn }: TokenAnswer): boolean {
    const now = this.#environment.clock.now();
    const noticeMs = Math.min((this.#keeping.lifetimeMs ?? 0) / 4, longestNoticeMs);
    return end !== undefined && end.getTime() <= Math.max(now + noticeMs, expiresOn.getTime());
  }

  /** For somebody who waits: after the run that holds the lease, and once more where that may help. */
  async #inTurn<T>(context: CallContext, work: (within: CallContext) => Promise<T>): Promise<T> {
    const outcome = await retry(
      () =>
        this.#alone(context, (within) =>
          work(within).then(
            (value) => ({ value }),
            (error: unknown) => {
              if (error instanceof RotatorError && error.retryable) {
                throw error;
              }
              // Handed through: time may be up by now, and that must not hide what has happened.
              return { error };
            },
          ),
        ),
      { clock: this.#environment.clock, context },
    );
    if ("error" in outcome) {
      throw outcome.error;
    }
    return outcome.value;
  }

  #alone<T>(context: CallContext, work: (within: CallContext) => Promise<T>): Promise<T> {
    const { secrets, leases } = this.#environment;
    const { vault, secret } = secrets.resolve(this.#keeping.reference);
    const { giveUpAt } = context;
    return leases.hold(`${new URL(vault).host}/${secret}`.toLowerCase(), context, (signal) =>
      work({ signal: AbortSignal.any([context.signal, signal]), giveUpAt }),
    );
  }
}

interface Spent {
  readonly answer?: TokenAnswer;
  /** The new refresh token, also where the answer is of no use otherwise. */
  readonly next?: SecretValue;
  readonly error?: unknown;
}

async function spend(refreshToken: SecretValue, grant: Grant, context: CallContext): Promise<Spent> {
  let given: SecretValue | undefined;
  const look = (body: JsonObject) => {
    const { refresh_token: text } = body;
    given = typeof text === "string" && text !== "" ? new SecretValue(text) : undefined;
    return body;
  };
  const outcome = await grant(refreshToken, look, context).then(
    (answer): Spent => ({ answer }),
    (error: unknown): Spent => ({ error }),
  );
  return given === undefined || given.equals(refreshToken) ? outcome : { ...outcome, next: given };
}

/** Also what usually does not help, such as a missing permission: it may be granted in the time that is left. */
function tryAgain(error: unknown): never {
  const { code, message, remedy, facts, retryAfterMs } = asRotatorError(error);
  throw new RotatorError(
    { code, message, remedy, retryable: true },
    { cause: error, facts, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  );
}
