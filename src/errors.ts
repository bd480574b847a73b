/** Where in a tick something happened. The same words stand in logs, telemetry, `--json` and the tests. */
export const stages = [
  "configure",
  "gather",
  "decide",
  "mint",
  "check",
  "format",
  "probe",
  "publish",
  "propagate",
  "deliver",
] as const;
export type Stage = (typeof stages)[number];

/** What can stand in an error or an event: plain facts, never a wrapped secret, an object or a response body. */
export type Fact = string | number | boolean;
export type Facts = Readonly<Record<string, Fact>>;

/**
 * One kind of problem: its stable code, what it means and how to mend it. The texts are static on purpose: nothing that
 * a provider answered can end up in them (an error body may echo the request, and so the secret). What is particular to
 * one occurrence goes into the facts.
 */
export interface Problem {
  /** Stable, PascalCase; users may match on it. */
  readonly code: string;
  /** One sentence that says what is wrong. */
  readonly message: string;
  /** One sentence that says how to mend it. */
  readonly remedy: string;
  /** Whether the same call may succeed later without anybody doing anything. */
  readonly retryable: boolean;
}

export interface ProblemDetails {
  readonly facts?: Facts;
  readonly cause?: unknown;
  /** Milliseconds the other side asked us to wait (`Retry-After`). */
  readonly retryAfterMs?: number;
  /**
   * The call may have taken effect although no answer came. A writer looks before it writes again.
   */
  readonly ambiguous?: boolean;
}

/** The only kind of error that leaves an adapter; everything an operator reads is made from its fields. */
export class RotatorError extends Error {
  override readonly name = "RotatorError";
  readonly code: string;
  readonly remedy: string;
  readonly retryable: boolean;
  readonly facts: Facts;
  readonly retryAfterMs: number | undefined;
  readonly ambiguous: boolean;
  /** Set once, by whoever runs the stage. */
  stage: Stage | undefined;
  /** How many tries the failing call took; counted by `retry`. */
  attempts = 1;

  constructor(problem: Problem, details: ProblemDetails = {}) {
    super(problem.message, details.cause === undefined ? undefined : { cause: redactedCause(details.cause) });
    this.code = problem.code;
    this.remedy = problem.remedy;
    this.retryable = problem.retryable;
    this.facts = Object.freeze({ ...details.facts });
    this.retryAfterMs = details.retryAfterMs;
    this.ambiguous = details.ambiguous ?? false;
  }

  /** The message with the facts of this occurrence, in one line: `Message (name=value, …)`. */
  get summary(): string {
    const facts = Object.entries(this.facts).map(([name, value]) => `${name}=${oneLine(String(value))}`);
    return facts.length === 0 ? this.message : `${this.message} (${facts.join(", ")})`;
  }
}

/** Declares the problems a module can raise, checked for shape and keyed by code. */
export function problems<const Table extends Record<string, Omit<Problem, "code">>>(
  table: Table,
): { readonly [Code in keyof Table]: Problem } {
  const entries = Object.entries(table).map(([code, problem]) => [code, Object.freeze({ code, ...problem })]);
  return Object.freeze(Object.fromEntries(entries));
}

const unexpected: Problem = {
  code: "Unexpected",
  message: "Something failed in a way that the rotator does not know.",
  remedy: "Report it with the error name and code in the facts; the last good version is still in the vault.",
  retryable: false,
};

/** Any thrown thing as a RotatorError of that stage. What is not ours keeps only its name and codes. */
export function asRotatorError(error: unknown, stage?: Stage): RotatorError {
  const known =
    error instanceof RotatorError
      ? error
      : new RotatorError(unexpected, { cause: error, facts: factsOfCause(error) });
  known.stage ??= stage;
  return known;
}

/**
 * The name, code and HTTP status of a foreign error. Its message, its request and its response are dropped: SDK errors
 * carry headers and bodies there.
 */
class RedactedCause extends Error {
  readonly code: string | undefined;
  readonly status: number | undefined;

  constructor(name: string, code: string | undefined, status: number | undefined) {
    super([code, status === undefined ? undefined : `HTTP ${status}`].filter(Boolean).join(", "));
    this.name = name;
    this.code = code;
    this.status = status;
    // The stack of the original begins with its message.
    this.stack = `${name}: ${this.message}`;
  }
}

function redactedCause(cause: unknown): Error {
  if (cause instanceof RotatorError || cause instanceof RedactedCause) {
    return cause;
  }
  const { errorName, errorCode, httpStatus } = factsOfCause(cause);
  return new RedactedCause(errorName, errorCode, httpStatus);
}

interface CauseFacts extends Record<string, Fact> {
  errorName: string;
}

function factsOfCause(cause: unknown): CauseFacts & { errorCode?: string; httpStatus?: number } {
  if (typeof cause !== "object" || cause === null) {
    return { errorName: typeof cause };
  }
  const { name, code, statusCode, status } = cause as Record<string, unknown>;
  const httpStatus = [statusCode, status].find((value): value is number => typeof value === "number");
  return {
    errorName: identifier(name) ?? "Error",
    ...(identifier(code) === undefined ? {} : { errorCode: identifier(code) as string }),
    ...(httpStatus === undefined ? {} : { httpStatus }),
  };
}

/**
 * Error names and codes are words with a number at the end at most (`ECONNRESET`, `UND_ERR_SOCKET`, `AADSTS700082`); anything
 * else might be data. A token or a key has digits before letters, and somebody's module may put one there.
 */
function identifier(value: unknown): string | undefined {
  return typeof value === "string" && value.length <= 64 && /^[A-Za-z]+\d*(?:[_.-][A-Za-z]*\d*)*$/.test(value)
    ? value
    : undefined;
}

/**
 * Text of somebody else's, to be shown: without control characters, so that it cannot forge a line of log or drive a
 * terminal, and without what turns the direction of the text around or cannot be seen, so that it reads as it is.
 */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}
