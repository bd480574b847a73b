import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { CallContext, Clock, MintContext, Token } from "../ports.ts";
import { DeadlinePassed, within } from "./deadline.ts";
import type { Decision } from "./decide.ts";
import { retry } from "./retry.ts";
import type { Rotation, SourceBinding, TokenChecks } from "./rotation.ts";
import { tagNames } from "./tags.ts";

export const mintProblems = problems({
  TokenEmpty: {
    message: "The source handed out an empty token.",
    remedy: "Look at the source's own logs; nothing was published.",
    retryable: false,
  },
  TokenNotOneLine: {
    message: "The source handed out a token with a line break or another control character in it.",
    remedy: "Look at what the source returns; a token is one line of text.",
    retryable: false,
  },
  TokenExpired: {
    message: "The source handed out a token that has expired already, or is no longer accepted.",
    remedy:
      "Compare the clocks of the provider and of the function app; a cache in front of the source may be stuck.",
    retryable: true,
  },
  SourceTimeout: {
    message: "The source did not answer in time.",
    remedy: "Check that the provider's endpoint can be reached from the function app.",
    retryable: true,
  },
});

/** Of the time that the first source has for its retries. Several together must come to their end before the tick does. */
const fallbackShare = 0.25;

/** How long one try may take before it is given up: a provider that hangs must not eat the tick. */
const tryTimeoutMs = 30_000;

export interface Minted {
  readonly token: Token;
  readonly kind: string;
  /** 0 for the first source, 1 for the first fallback, … */
  readonly position: number;
  /** Why the sources before it did not mint. */
  readonly passedOver: readonly RotatorError[];
}

export interface MintDependencies {
  readonly clock: Clock;
  /** Bounds how many sources are asked at the same time. */
  readonly limit: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * Mints for one tick: each source is asked once, however many rotations share it, and its answer, good or bad, serves
 * them all.
 */
export class TickMint {
  readonly #answers = new Map<string, Promise<Token>>();
  readonly #current: ReadonlyMap<string, NonNullable<MintContext["current"]>>;
  readonly #dependencies: MintDependencies;

  /** `due`: every rotation that will ask, so that a source learns the newest token that any of them holds. */
  constructor(due: readonly (readonly [Rotation, Decision])[], dependencies: MintDependencies) {
    this.#dependencies = dependencies;
    this.#current = newestBySource(due);
  }

  /**
   * The token of the first source that mints one that passes the checks. A fallback has some time of its own for its
   * retries, also where those of the source before it have used up the time that there was.
   * @throws RotatorError of the first source, when none does.
   */
  async mint(rotation: Rotation, forced: boolean, context: CallContext): Promise<Minted> {
    const { clock } = this.#dependencies;
    const fallbackBudgetMs = fallbackShare * (context.giveUpAt - clock.now());
    const passedOver: RotatorError[] = [];
    for (const [position, binding] of rotation.sources.entries()) {
      try {
        const giveUpAt = Math.max(context.giveUpAt, clock.now() + fallbackBudgetMs);
        const token = await this.#askOnce(binding, forced, { ...context, giveUpAt });
        checkToken(token, binding, rotation.checks, clock.now());
        return { token, kind: binding.kind, position, passedOver };
      } catch (error) {
        context.signal.throwIfAborted();
        passedOver.push(asRotatorError(error, "mint"));
      }
    }
    const [first] = passedOver;
    throw first ?? new Error(`rotation ${rotation.name} has no source`);
  }

  #askOnce(binding: SourceBinding, forced: boolean, context: CallContext): Promise<Token> {
    const known = this.#answers.get(binding.key);
    if (known !== undefined) {
      return known;
    }
    const answer = this.#dependencies.limit(() => this.#ask(binding, forced, context));
    this.#answers.set(binding.key, answer);
    return answer;
  }

  async #ask(binding: SourceBinding, forced: boolean, context: CallContext): Promise<Token> {
    const { clock } = this.#dependencies;
    const source = await binding.load();
    const current = this.#current.get(binding.key);
    return await retry(
      () =>
        within(clock, tryTimeoutMs, context.signal, (signal) =>
          source.mint({
            signal,
            giveUpAt: context.giveUpAt,
            forced,
            ...(current === undefined ? {} : { current }),
          }),
        ).catch((error: unknown) => {
          context.signal.throwIfAborted();
          throw error instanceof DeadlinePassed
            ? new RotatorError(mintProblems.SourceTimeout, { facts: { kind: binding.kind }, cause: error })
            : error;
        }),
      { clock, context },
    );
  }
}

function checkToken(token: Token, binding: SourceBinding, checks: TokenChecks, now: number): void {
  const text = token.value.reveal();
  const facts = { kind: binding.kind };
  if (text.length === 0) {
    throw stageCheck(new RotatorError(mintProblems.TokenEmpty, { facts }));
  }
  if (/\p{Cc}/u.test(text)) {
    throw stageCheck(new RotatorError(mintProblems.TokenNotOneLine, { facts }));
  }
  // An invalid date compares as false, and must not pass for one that lies ahead.
  if (!(token.expiresOn.getTime() - binding.refusedBeforeExpiryMs > now)) {
    throw stageCheck(new RotatorError(mintProblems.TokenExpired, { facts }));
  }
  try {
    checks.check(token, now);
  } catch (error) {
    throw asRotatorError(error, "check");
  }
}

function stageCheck(error: RotatorError): RotatorError {
  error.stage = "check";
  return error;
}

/** Per source, the token with the latest expiry among the outputs that are to be renewed. */
function newestBySource(
  due: readonly (readonly [Rotation, Decision])[],
): ReadonlyMap<string, NonNullable<MintContext["current"]>> {
  const newest = new Map<string, NonNullable<MintContext["current"]>>();
  for (const [rotation, decision] of due) {
    for (const { state } of decision.outputs) {
      const properties = state.kind === "present" ? state.properties : undefined;
      const fingerprint = properties?.tags[tagNames.token];
      if (properties?.expiresOn === undefined || fingerprint === undefined) {
        continue;
      }
      const held = { fingerprint, expiresOn: properties.expiresOn };
      for (const { key } of rotation.sources) {
        const known = newest.get(key);
        if (known === undefined || known.expiresOn < held.expiresOn) {
          newest.set(key, held);
        }
      }
    }
  }
  return newest;
}
