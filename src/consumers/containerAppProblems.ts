import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { ConsumerState } from "../ports.ts";
import { type HeaderSource, retryAfterMs } from "../retryAfter.ts";

/** Every problem of the Container Apps consumers. `docs/container-apps.md` has a row for each. */
export const consumerProblems = problems({
  ConsumerNotFound: {
    message: "The Container App or job of this consumer does not exist.",
    remedy: "Correct the resource id in the configuration, or create the app.",
    retryable: false,
  },
  ConsumerSecretMissing: {
    message: "The app has no secret of that name; the rotator updates secrets and adds none.",
    remedy: "Add the secret to the app with any value and refer to it from a container, or correct the name.",
    retryable: false,
  },
  ConsumerSecretFedTwice: {
    message: "Two outputs feed the same secret of one app; it is left as it is.",
    remedy: "Give each output a secret of its own at the app.",
    retryable: false,
  },
  ConsumerForbidden: {
    message: "The rotator's identity may not do this at the consumer.",
    remedy:
      "Grant the action in the facts on the scope in the facts; docs/container-apps.md has the custom role.",
    retryable: false,
  },
  ConsumerUnauthenticated: {
    message: "The resource manager did not accept the rotator's token.",
    remedy: "Check the identity's tenant, AZURE_RESOURCE_MANAGER_URL, and the clock of the machine.",
    retryable: false,
  },
  ConsumerIdentityUnavailable: {
    message: "The rotator's identity gave no token for the resource manager.",
    remedy: "Check that the identity is assigned to the function app; `token-rotator doctor` tells more.",
    retryable: true,
  },
  ConsumerSecretInvalid: {
    message: "Container Apps refused the app's secrets.",
    remedy:
      "With key-vault-reference: assign the identity to the app and let it read the secret. Else see the error code.",
    retryable: false,
  },
  ConsumerSecretUnreadable: {
    message:
      "Another secret of the app has neither a value nor a Key Vault reference, so it could not be kept.",
    remedy: "Set that secret anew or remove it; the rotator must send all secrets of the app together.",
    retryable: false,
  },
  ConsumerTagsFull: {
    message: "The app has no room for the tags in which the rotator notes what it applied: Azure allows 50.",
    remedy: "Remove tags from the app; the rotator needs one per secret that it feeds, and one more.",
    retryable: false,
  },
  ConsumerRequestRefused: {
    message: "Container Apps refused a request.",
    remedy: "See the error code in the facts.",
    retryable: false,
  },
  ConsumerBusy: {
    message: "Another operation on the app is in progress.",
    remedy: "Nothing to do: the next tick tries again.",
    retryable: true,
  },
  ConsumerThrottled: {
    message: "The resource manager asked to slow down.",
    remedy:
      "Nothing to do: the next tick tries again. If it recurs, look for other heavy users of the subscription.",
    retryable: true,
  },
  ConsumerUnavailable: {
    message: "The resource manager did not answer, or answered with a fault of its own.",
    remedy: "Nothing to do: the next tick tries again. If it recurs, check the network and Azure's status.",
    retryable: true,
  },
  ConsumerAnswerUnreadable: {
    message: "The resource manager's answer could not be read.",
    remedy: "Check AZURE_RESOURCE_MANAGER_URL, and whether a proxy answers in its place.",
    retryable: true,
  },
  ConsumerUpdateFailed: {
    message: "Container Apps accepted the new secrets, but the update failed.",
    remedy:
      "See the app's activity log. With key-vault-reference: check that the app's identity may read the secret.",
    retryable: false,
  },
  ConsumerUpdateUnfinished: {
    message: "The update of the app was not finished when the time for it was up.",
    remedy: "Nothing to do: the next tick goes on from there.",
    retryable: true,
  },
  ConsumerRaceLost: {
    message: "Another writer changed the app's secrets at the same time, and a change was lost.",
    remedy:
      "Compare the app's secrets with what its deployment sets; do not deploy secrets that a rotation feeds.",
    retryable: true,
  },
  RestartFailed: {
    message: "The app was asked twice to restart, and containers that hold the old secret still run.",
    remedy: "Restart the revision by hand and see the system log of the app.",
    retryable: false,
  },
  RestartUnhealthy: {
    message: "The containers that hold the new secret are not ready.",
    remedy: "See the console log of the app: it may not start, whatever the secret.",
    retryable: false,
  },
});

/** What errors come to together: the first one is shown, and of the others at least the codes. */
export function failureOf(
  errors: readonly RotatorError[],
): (Pick<ConsumerState, "error" | "facts"> & { readonly state: "failed" }) | undefined {
  const [first, ...others] = errors;
  if (first === undefined) {
    return undefined;
  }
  const error = asRotatorError(first, "propagate");
  const facts = { alsoFailed: [...new Set(others.map(({ code }) => code))].join(",") };
  return { state: "failed", error, ...(others.length === 0 ? {} : { facts }) };
}

/** One request: what it needs and what it is about. */
export interface ArmCall {
  /** The role action that it needs. */
  readonly action: string;
  /** The resource id: the scope on which the action is needed. */
  readonly resource: string;
  /** Actions that it may need on other resources, and what those are. */
  readonly linkedActions?: Readonly<Record<string, string>>;
}

/**
 * An error of the SDK as one of ours. Of the answer only the status, the error code and `Retry-After` are read, and of
 * its text only whether it names a linked action that we know: a body may echo what was sent.
 */
export function consumerErrorOf(error: unknown, call: ArmCall): RotatorError {
  if (error instanceof RotatorError) {
    return error;
  }
  const { name, code, statusCode, message, response } = fieldsOf(error);
  const status = statusCode ?? response?.status;
  const errorCode = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(code) ? code : undefined;
  const facts = {
    resource: call.resource,
    action: call.action,
    ...(status === undefined ? {} : { httpStatus: status }),
    ...(errorCode === undefined ? {} : { errorCode }),
  };
  const details = { facts, cause: error };
  if (/^(?:CredentialUnavailable|(?:Aggregate)?Authentication(?:Required)?)Error$/.test(name)) {
    return new RotatorError(consumerProblems.ConsumerIdentityUnavailable, details);
  }
  switch (status) {
    case undefined:
      // A connection that failed, a name that is not known, a time-out; what is not a RestError is the SDK's own trouble
      // with an answer.
      return name === "RestError" || name === "AbortError"
        ? new RotatorError(consumerProblems.ConsumerUnavailable, { ...details, ambiguous: !neverSent(code) })
        : new RotatorError(consumerProblems.ConsumerAnswerUnreadable, { ...details, ambiguous: true });
    case 401:
      return new RotatorError(consumerProblems.ConsumerUnauthenticated, details);
    case 403: {
      const linked = Object.entries(call.linkedActions ?? {}).find(([action]) => message.includes(action));
      const [action, scope] = linked ?? [call.action, call.resource];
      return new RotatorError(consumerProblems.ConsumerForbidden, {
        cause: error,
        facts: { ...facts, action, scope },
      });
    }
    case 404:
      return new RotatorError(consumerProblems.ConsumerNotFound, details);
    case 409:
      return new RotatorError(consumerProblems.ConsumerBusy, details);
    case 429:
      return new RotatorError(consumerProblems.ConsumerThrottled, withRetryAfter(details, response));
    case 503:
      // "Not now": the resource manager says so before it passes a request on.
      return new RotatorError(consumerProblems.ConsumerUnavailable, withRetryAfter(details, response));
    default:
      if (status === 408 || status >= 500) {
        return new RotatorError(consumerProblems.ConsumerUnavailable, { ...details, ambiguous: true });
      }
      if (status < 300) {
        return new RotatorError(consumerProblems.ConsumerAnswerUnreadable, { ...details, ambiguous: true });
      }
      return /Secret|KeyVault/.test(errorCode ?? "")
        ? new RotatorError(consumerProblems.ConsumerSecretInvalid, details)
        : new RotatorError(consumerProblems.ConsumerRequestRefused, details);
  }
}

interface Fields {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly statusCode?: number;
  readonly response?: { readonly status?: number; readonly headers?: HeaderSource };
}

function fieldsOf(error: unknown): Fields {
  const { name, code, message, statusCode, response } = (error ?? {}) as Partial<
    Record<keyof Fields, unknown>
  >;
  return {
    name: String(name),
    code: typeof code === "string" ? code : "",
    message: typeof message === "string" ? message : "",
    ...(typeof statusCode === "number" ? { statusCode } : {}),
    ...(typeof response === "object" && response !== null ? { response } : {}),
  };
}

function neverSent(code: string): boolean {
  return /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|CERT_.*|.*_CERT.*)$/.test(code);
}

function withRetryAfter(
  details: { facts: Record<string, string | number>; cause: unknown },
  response: Fields["response"],
) {
  const waitMs = response?.headers === undefined ? undefined : retryAfterMs(response.headers);
  return waitMs === undefined ? details : { ...details, retryAfterMs: waitMs };
}
