import { type Facts, type Problem, problems, RotatorError } from "../errors.ts";

/** What can end a sign-in besides the provider, whose problems are in `oauth/problems.ts`. */
export const signInProblems = problems({
  NothingToSignIn: {
    message: "No source of this rotation signs anybody in.",
    remedy: "Name a rotation with a source of the kind oauth-refresh-token.",
    retryable: false,
  },
  SeveralSignIns: {
    message: "Several sources of this rotation sign somebody in.",
    remedy: "Say with --secret which refresh token is meant; the facts name them.",
    retryable: false,
  },
  RotationBlocked: {
    message: "This rotation's part of the configuration is at fault.",
    remedy: "Run `token-rotator validate`: it names every problem and how to mend it.",
    retryable: false,
  },
  TokenSetUnreadable: {
    message: "The token set cannot be read.",
    remedy: "Check the name of the environment variable or the path of the file, and that it is not empty.",
    retryable: false,
  },
  TokenSetWithoutRefreshToken: {
    message: "The token set holds no refresh token.",
    remedy:
      "Bring the refresh token itself, or JSON with a refresh_token in it, plain or as base64; where the program that wrote it has none, sign in without --from-env and --from-file.",
    retryable: false,
  },
  PortUnusable: {
    message: "The port that the browser should come back to cannot be listened on.",
    remedy:
      "End the program that holds it, or choose another one with --port, where the client is registered for any.",
    retryable: false,
  },
  PortNotRegistered: {
    message: "The source's redirectUri names another port than --port.",
    remedy: "Leave --port out, or change the redirectUri as it is registered at the client.",
    retryable: false,
  },
  SignInNotFinished: {
    message: "Nobody has signed in within the time; nothing was stored.",
    remedy: "Begin the sign-in again; --timeout gives more time, --device-code works on another device.",
    retryable: false,
  },
  SignInStopped: {
    message: "The sign-in was stopped; nothing was stored.",
    remedy: "Begin it again when it suits.",
    retryable: false,
  },
  RefreshTokenNotIssued: {
    message: "The sign-in worked, but the provider gave no refresh token; nothing was stored.",
    remedy:
      "Add offline_access to the source's scopes (for Google, access_type: offline to its signInParameters), and allow the client refresh tokens at the provider.",
    retryable: false,
  },
});

/** A mistake in how the command was called, or in the configuration. */
export function misuse(problem: Problem, facts: Facts = {}, cause?: unknown): RotatorError {
  const error = new RotatorError(problem, { facts, ...(cause === undefined ? {} : { cause }) });
  error.stage = "configure";
  return error;
}
