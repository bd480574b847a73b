import { type Facts, type Problem, problems, RotatorError } from "../errors.ts";
import { retryAfterMs } from "../retryAfter.ts";
import type { IdentityAnswer } from "./identityHttp.ts";

export const identityProblems = problems({
  IdentityNotAssigned: {
    message: "The managed identity that the rotator is told to use is not assigned to this app.",
    remedy:
      "Assign it, or set AZURE_CLIENT_ID (or the source's identity.clientId) to the client id of one that is assigned; without either, the system-assigned identity must be on.",
    retryable: false,
  },
  IdentityAmbiguous: {
    message: "Several managed identities are assigned here, and none of them was chosen.",
    remedy: "Set AZURE_CLIENT_ID, or the source's identity.clientId, to the client id of the one to use.",
    retryable: false,
  },
  IdentityUnknown: {
    message: "The tenant does not know the client id that the rotator is told to use.",
    remedy: "Check AZURE_CLIENT_ID, the source's identity.clientId and the tenant.",
    retryable: false,
  },
  IdentityEndpointUnreachable: {
    message: "The endpoint that hands out tokens cannot be reached, or did not answer in time.",
    remedy:
      "Nothing to do when it passes; else check that the identity is still on and that nothing blocks the way to it.",
    retryable: true,
  },
  IdentityThrottled: {
    message: "The endpoint that hands out tokens refuses calls because it was sent too many.",
    remedy: "Nothing to do when it passes; else let fewer processes ask for tokens.",
    retryable: true,
  },
  IdentityUnavailable: {
    message: "The endpoint that hands out tokens cannot serve the call right now.",
    remedy:
      "Nothing to do when it passes; an identity that was just assigned takes minutes to become usable.",
    retryable: true,
  },
  IdentityAnswerMalformed: {
    message: "The endpoint that hands out tokens did not answer with a token.",
    remedy: "Check that no proxy stands between the rotator and the endpoint.",
    retryable: true,
  },
  IdentityRefused: {
    message: "The endpoint that hands out tokens refused the request.",
    remedy: "Look up the AADSTS number in the facts at https://login.microsoftonline.com/error.",
    retryable: false,
  },
  ResourceUnknown: {
    message: "The tenant does not know the resource that the scope names.",
    remedy:
      "Check the spelling of the scope and the tenant; a custom resource needs an app registration with a service principal in this tenant.",
    retryable: false,
  },
  AssignmentMissing: {
    message: "The resource only hands out tokens to those who are assigned to it, and this identity is not.",
    remedy:
      "Assign the identity an app role of the resource, or switch off `Assignment required` of its enterprise application.",
    retryable: false,
  },
  TenantUnknown: {
    message: "The tenant that tokens are asked of does not exist in this cloud.",
    remedy: "Check AZURE_TENANT_ID, the source's tenant and AZURE_AUTHORITY_HOST.",
    retryable: false,
  },
  FederationRefused: {
    message: "No federated credential of the identity matches the token of this workload.",
    remedy:
      "Compare issuer, subject and audience of the identity's federated credential with the service account of the pod.",
    retryable: false,
  },
  WorkloadIdentityIncomplete: {
    message:
      "AZURE_FEDERATED_TOKEN_FILE is set, but the file, AZURE_CLIENT_ID or AZURE_TENANT_ID is missing.",
    remedy:
      "Label the pod azure.workload.identity/use=true and annotate its service account with the client id, so that the webhook sets all of them.",
    retryable: false,
  },
  NotSignedIn: {
    message: "Nobody is signed in on this machine.",
    remedy:
      "Run `az login` (or `azd auth login`, or Connect-AzAccount in PowerShell), with the tenant if there are several.",
    retryable: false,
  },
});

/** What is asked for a token. */
export type IdentityKind = "managed" | "workload" | "developer";

export interface IdentityErrorContext {
  readonly kind?: IdentityKind;
  readonly facts?: Facts;
  /** What came back over HTTP last; the SDK's own errors hide most of it, or tell it wrongly. */
  readonly answer?: IdentityAnswer | undefined;
}

/** What a credential threw, as a problem of ours. Texts of the provider are only searched, never kept. */
export function identityError(error: unknown, context: IdentityErrorContext = {}): RotatorError {
  if (error instanceof RotatorError) {
    return error;
  }
  const { kind, answer } = context;
  // Developer tools answer in a process, not over HTTP: all there is is what they printed.
  const text = answer === undefined ? messagesOf(error) : (answer.body ?? "");
  const aadsts = Number(/AADSTS(\d{4,7})/.exec(text)?.[1] ?? Number.NaN);
  const problem =
    problemByAadsts.get(aadsts) ??
    problemOfText(text) ??
    (answer === undefined ? problemWithoutAnswer(kind, text) : problemOfAnswer(answer));
  const waitMs = answer?.headers === undefined ? undefined : retryAfterMs(answer.headers);
  return new RotatorError(problem, {
    cause: error,
    facts: {
      ...context.facts,
      ...(Number.isNaN(aadsts) ? {} : { aadsts }),
      ...(answer?.status === undefined ? {} : { httpStatus: answer.status }),
      ...(answer?.errorCode === undefined ? {} : { errorCode: answer.errorCode }),
    },
    ...(problem.retryable && waitMs !== undefined ? { retryAfterMs: waitMs } : {}),
  });
}

const {
  AssignmentMissing,
  FederationRefused,
  IdentityAmbiguous,
  IdentityAnswerMalformed,
  IdentityEndpointUnreachable,
  IdentityNotAssigned,
  IdentityRefused,
  IdentityThrottled,
  IdentityUnavailable,
  IdentityUnknown,
  NotSignedIn,
  ResourceUnknown,
  TenantUnknown,
  WorkloadIdentityIncomplete,
} = identityProblems;

/** https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const problemByAadsts: ReadonlyMap<number, Problem> = new Map([
  [50001, ResourceUnknown],
  [500011, ResourceUnknown],
  [70011, ResourceUnknown],
  [50105, AssignmentMissing],
  [501051, AssignmentMissing],
  [90002, TenantUnknown],
  [700016, IdentityUnknown],
  [70021, FederationRefused],
  [700211, FederationRefused],
  [700212, FederationRefused],
  [700213, FederationRefused],
  // Interaction, password or sign-in frequency: only people get to see these.
  [50076, NotSignedIn],
  [50078, NotSignedIn],
  [50079, NotSignedIn],
  [50173, NotSignedIn],
  [70043, NotSignedIn],
  [700082, NotSignedIn],
]);

/** Sentences of the managed identity endpoints, which send no codes. */
function problemOfText(text: string): Problem | undefined {
  if (/Multiple user assigned identities/i.test(text)) {
    return IdentityAmbiguous;
  }
  return /Unable to load the proper Managed Identity|Managed Identity found for|Identity not found/i.test(
    text,
  )
    ? IdentityNotAssigned
    : undefined;
}

function problemOfAnswer({ status }: IdentityAnswer): Problem {
  if (status === undefined) {
    return IdentityEndpointUnreachable;
  }
  if (status === 429) {
    return IdentityThrottled;
  }
  // 404 and 410 are what a managed identity endpoint says while it is being set up or upgraded.
  if (status >= 500 || status === 408 || status === 404 || status === 410) {
    return IdentityUnavailable;
  }
  return status < 300 ? IdentityAnswerMalformed : IdentityRefused;
}

/** Where nothing was asked over HTTP, or by a credential that somebody else made. */
function problemWithoutAnswer(kind: IdentityKind | undefined, text: string): Problem {
  switch (kind) {
    case "developer":
      return NotSignedIn;
    case "workload":
      return WorkloadIdentityIncomplete;
    default:
      return /network_error|ECONN|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/.test(text)
        ? IdentityEndpointUnreachable
        : IdentityRefused;
  }
}

/** The messages of an error, of what caused it and of those that it sums up. */
function messagesOf(error: unknown, depth = 4): string {
  if (!(error instanceof Error) || depth === 0) {
    return "";
  }
  const { errors } = error as { errors?: unknown };
  const parts = [error.cause, ...(Array.isArray(errors) ? errors : [])];
  return [error.message, ...parts.map((part) => messagesOf(part, depth - 1))].join("\n");
}
