import * as oauth from "oauth4webapi";
import { type Facts, type Problem, RotatorError } from "../errors.ts";
import { malformed } from "./endpoint.ts";
import { oauthProblems } from "./problems.ts";

/**
 * What oauth4webapi threw, as one of our problems. Its own errors carry whole answers in `cause`, tokens included, and are
 * dropped but for their name and code.
 */
export function asProblem(error: unknown, facts: Facts): RotatorError {
  if (error instanceof RotatorError) {
    return error;
  }
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const problem = problemByLibraryCode[code];
  return problem === undefined ? malformed(facts, error) : new RotatorError(problem, { facts, cause: error });
}

const problemByLibraryCode: Readonly<Record<string, Problem>> = {
  [oauth.MISSING_SERVER_METADATA]: oauthProblems.EndpointNotOffered,
  [oauth.INVALID_SERVER_METADATA]: oauthProblems.EndpointNotOffered,
  [oauth.HTTP_REQUEST_FORBIDDEN]: oauthProblems.EndpointNotOffered,
  [oauth.REQUEST_PROTOCOL_FORBIDDEN]: oauthProblems.EndpointNotOffered,
  [oauth.JSON_ATTRIBUTE_COMPARISON]: oauthProblems.IssuerMismatch,
};
