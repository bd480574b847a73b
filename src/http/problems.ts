import { problems } from "../errors.ts";

/** What a caller can get wrong. */
export const httpProblems = problems({
  NameInvalid: {
    message: "That is not the name of a rotation.",
    remedy: "Use the name that rotations.json gives: lower-case letters, digits and hyphens.",
    retryable: false,
  },
  BodyInvalid: {
    message: "The body of the request is not what is expected here.",
    remedy: 'Send no body, or {"force": true} as JSON with Content-Type: application/json.',
    retryable: false,
  },
  BodyTooLarge: {
    message: "The body of the request is too large.",
    remedy: "Send at most 1,024 bytes.",
    retryable: false,
  },
  FormInvalid: {
    message: "The form was not sent by this page, or the page was open in a browser that keeps no cookies.",
    remedy: "Open the status page again, allow its cookie, and try again.",
    retryable: false,
  },
  CrossSiteRequest: {
    message: "The request comes from a page of another site.",
    remedy: "Open the status page of this app itself, or send the request without a browser.",
    retryable: false,
  },
  SignInNeeded: {
    message: "Nobody is signed in.",
    remedy:
      "Sign in with Entra ID. If HTTP_ACCESS is entra, authentication must be turned on for the function app.",
    retryable: false,
  },
});

/** The status of an answer for each problem that is the caller's; of all others, it is the server's own. */
export const callersStatus: ReadonlyMap<string, number> = new Map([
  ["NameInvalid", 400],
  ["BodyInvalid", 400],
  ["BodyTooLarge", 413],
  ["FormInvalid", 403],
  ["CrossSiteRequest", 403],
  ["SignInNeeded", 401],
  ["RotationUnknown", 404],
  ["TickRunning", 409],
]);
