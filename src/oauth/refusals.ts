import { type Fact, type Problem, RotatorError } from "../errors.ts";
import { retryAfterMs } from "../retryAfter.ts";
import { oauthProblems } from "./problems.ts";

/** What was asked of the provider; the same error code means different things for different grants. */
export type Grant =
  | "discovery"
  | "clientCredentials"
  | "refreshToken"
  | "tokenExchange"
  | "authorizationCode"
  | "deviceCode"
  | "api";

/** An answer that is not a success, already read. */
export interface Refusal {
  readonly grant: Grant;
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  /** The JSON object in the body; `undefined` where there is none. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

/** The refusal as a problem. What the provider wrote for people never gets into it, only identifiers from closed lists. */
export function refusalError(refusal: Refusal): RotatorError {
  const problem = problemOf(refusal);
  const waitMs = retryAfterMs(refusal.headers);
  return new RotatorError(problem, {
    facts: factsOf(refusal),
    // A gateway that gives up does not say whether the request had reached the provider.
    ambiguous: refusal.status >= 500,
    ...(problem.retryable && waitMs !== undefined ? { retryAfterMs: waitMs } : {}),
  });
}

function problemOf({ grant, status, body }: Refusal): Problem {
  if (status === 429) {
    return oauthProblems.ProviderThrottled;
  }
  if (status === 408 || status >= 500) {
    return oauthProblems.ProviderUnavailable;
  }
  const code = errorCode(body);
  if ((status === 404 || status === 405) && (code === undefined || code === "invalid_request")) {
    return oauthProblems.EndpointNotFound;
  }
  const known =
    problemByAadsts.get(aadsts(body) ?? 0) ??
    (code === undefined ? undefined : (problemByGrant[grant]?.[code] ?? problemByCode.get(code)));
  if (known !== undefined) {
    return known;
  }
  if (body === undefined && grant !== "api") {
    return oauthProblems.TokenAnswerMalformed;
  }
  if (status === 401 || status === 403) {
    return grant === "api" ? oauthProblems.AccessDenied : oauthProblems.ClientRefused;
  }
  return oauthProblems.RequestRefused;
}

/**
 * Error codes of RFC 6749 and its extensions, and of the Databricks REST API. A closed list, because the code becomes a
 * fact: an error code that nobody knows could be anything, also an echo of the request.
 */
const problemByCode: ReadonlyMap<string, Problem> = new Map([
  ["invalid_request", oauthProblems.RequestRefused],
  ["invalid_client", oauthProblems.ClientRefused],
  ["invalid_grant", oauthProblems.RequestRefused],
  ["unauthorized_client", oauthProblems.ClientNotAllowed],
  ["unsupported_grant_type", oauthProblems.GrantTypeUnsupported],
  ["invalid_scope", oauthProblems.ScopeRefused],
  ["insufficient_scope", oauthProblems.ScopeRefused],
  ["invalid_target", oauthProblems.ResourceUnknown],
  ["invalid_resource", oauthProblems.ResourceUnknown],
  ["access_denied", oauthProblems.AccessDenied],
  ["invalid_token", oauthProblems.AccessDenied],
  ["interaction_required", oauthProblems.InteractionRequired],
  ["login_required", oauthProblems.InteractionRequired],
  ["account_selection_required", oauthProblems.InteractionRequired],
  ["consent_required", oauthProblems.ConsentRequired],
  ["server_error", oauthProblems.ProviderUnavailable],
  ["temporarily_unavailable", oauthProblems.ProviderUnavailable],
  ["authorization_pending", oauthProblems.RequestRefused],
  ["slow_down", oauthProblems.ProviderThrottled],
  ["expired_token", oauthProblems.SignInTimedOut],
  // https://docs.databricks.com/api/workspace/introduction (error codes)
  ["BAD_REQUEST", oauthProblems.RequestRefused],
  ["INVALID_PARAMETER_VALUE", oauthProblems.RequestRefused],
  ["MALFORMED_REQUEST", oauthProblems.RequestRefused],
  ["INVALID_STATE", oauthProblems.RequestRefused],
  ["FEATURE_DISABLED", oauthProblems.RequestRefused],
  ["UNAUTHENTICATED", oauthProblems.ClientRefused],
  ["PERMISSION_DENIED", oauthProblems.AccessDenied],
  ["ENDPOINT_NOT_FOUND", oauthProblems.EndpointNotFound],
  ["RESOURCE_DOES_NOT_EXIST", oauthProblems.ResourceUnknown],
  ["NOT_FOUND", oauthProblems.ResourceUnknown],
  ["REQUEST_LIMIT_EXCEEDED", oauthProblems.ProviderThrottled],
  ["RESOURCE_EXHAUSTED", oauthProblems.ProviderThrottled],
  ["INTERNAL_ERROR", oauthProblems.ProviderUnavailable],
  ["TEMPORARILY_UNAVAILABLE", oauthProblems.ProviderUnavailable],
]);

const problemByGrant: { readonly [G in Grant]?: Readonly<Record<string, Problem>> } = {
  refreshToken: { invalid_grant: oauthProblems.RefreshTokenRefused },
  // RFC 8693, section 2.2.2: a subject token that is not accepted is an invalid_request; many say invalid_grant.
  tokenExchange: {
    invalid_grant: oauthProblems.SubjectTokenRefused,
    invalid_request: oauthProblems.SubjectTokenRefused,
  },
  authorizationCode: {
    invalid_grant: oauthProblems.SignInCodeRefused,
    access_denied: oauthProblems.SignInDenied,
  },
  deviceCode: { invalid_grant: oauthProblems.SignInTimedOut, access_denied: oauthProblems.SignInDenied },
  api: { UNAUTHENTICATED: oauthProblems.AccessDenied },
};

/** https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const problemByAadsts: ReadonlyMap<number, Problem> = new Map([
  [7000215, oauthProblems.ClientSecretWrong],
  [7000222, oauthProblems.ClientSecretExpired],
  [7000218, oauthProblems.ClientSecretMissing],
  [700025, oauthProblems.ClientMustBePublic],
  [70021, oauthProblems.ClientAssertionRefused],
  [700211, oauthProblems.ClientAssertionRefused],
  [700212, oauthProblems.ClientAssertionRefused],
  [700213, oauthProblems.ClientAssertionRefused],
  [700023, oauthProblems.ClientAssertionRefused],
  [700024, oauthProblems.ClientAssertionRefused],
  [700027, oauthProblems.ClientAssertionRefused],
  [700016, oauthProblems.ClientUnknown],
  [90002, oauthProblems.TenantUnknown],
  [900023, oauthProblems.TenantUnknown],
  [50001, oauthProblems.ResourceUnknown],
  [500011, oauthProblems.ResourceUnknown],
  [70011, oauthProblems.ScopeRefused],
  [1002012, oauthProblems.ScopeRefused],
  [50105, oauthProblems.AccessDenied],
  [65001, oauthProblems.ConsentRequired],
  [50074, oauthProblems.InteractionRequired],
  [50076, oauthProblems.InteractionRequired],
  [50079, oauthProblems.InteractionRequired],
  [50158, oauthProblems.InteractionRequired],
  [16000, oauthProblems.InteractionRequired],
  [53000, oauthProblems.ConditionalAccessBlocked],
  [53001, oauthProblems.ConditionalAccessBlocked],
  [53003, oauthProblems.ConditionalAccessBlocked],
  [50057, oauthProblems.AccountDisabled],
  [50173, oauthProblems.RefreshTokenRevoked],
  [70008, oauthProblems.RefreshTokenExpired],
  [700082, oauthProblems.RefreshTokenExpired],
  [700084, oauthProblems.RefreshTokenExpired],
  [70000, oauthProblems.RefreshTokenRefused],
  [90033, oauthProblems.ProviderUnavailable],
  [50196, oauthProblems.ProviderThrottled],
]);

function factsOf({ url, status, body }: Refusal): Record<string, Fact> {
  const facts: Record<string, Fact> = { host: url.host, httpStatus: status };
  const add = (name: string, value: Fact | undefined) => {
    if (value !== undefined) {
      facts[name] = value;
    }
  };
  add("error", errorCode(body));
  add("aadsts", aadsts(body));
  add("traceId", guid(body?.trace_id));
  add("correlationId", guid(body?.correlation_id));
  return facts;
}

/** OAuth says `error`; Databricks also says `errorCode` (with `errorSummary`) and `error_code` (with `message`). */
function errorCode(body: Refusal["body"]): string | undefined {
  const given = [body?.error, body?.errorCode, body?.error_code];
  return given.find((code): code is string => typeof code === "string" && problemByCode.has(code));
}

/** Entra's own number of the error; without `error_codes` it is how the description begins. */
function aadsts(body: Refusal["body"]): number | undefined {
  const { error_codes: numbers, error_description: description } = body ?? {};
  if (Array.isArray(numbers) && Number.isSafeInteger(numbers[0])) {
    return numbers[0];
  }
  const [, digits] = (typeof description === "string" && /^AADSTS(\d{4,9})\b/.exec(description)) || [];
  return digits === undefined ? undefined : Number(digits);
}

function guid(value: unknown): string | undefined {
  return typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)
    ? value
    : undefined;
}
