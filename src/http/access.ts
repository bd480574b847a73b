import type { HttpRequest } from "@azure/functions";
import { RotatorError } from "../errors.ts";
import { httpProblems } from "./problems.ts";

/**
 * Who lets callers in. `key`: the platform, to those who send a function key. `entra`: the platform too, to those who have
 * signed in with Entra ID; App Service authentication stands in front, and keys are not asked for.
 */
export type Access = "key" | "entra";

type Environment = Readonly<Record<string, string | undefined>>;

/** By the setting `HTTP_ACCESS`; a word that is not known leaves the keys in force. */
export function accessOf(environment: Environment): Access {
  return environment.HTTP_ACCESS === "entra" ? "entra" : "key";
}

/** The authorization level to register a function with. */
export function authLevelOf(access: Access): "function" | "anonymous" {
  return access === "entra" ? "anonymous" : "function";
}

/**
 * The platform takes `x-ms-client-principal-id` from what callers send and puts there whom it has authenticated, but only
 * while authentication is turned on. WEBSITE_AUTH_ENABLED says so, and an app setting cannot:
 * https://learn.microsoft.com/azure/app-service/reference-app-settings#authentication--authorization
 * @throws RotatorError `SignInNeeded`
 */
export function requireSignIn(request: HttpRequest, environment: Environment): void {
  const isOn = environment.WEBSITE_AUTH_ENABLED?.toLowerCase() === "true";
  if (!isOn || !request.headers.get("x-ms-client-principal-id")) {
    throw new RotatorError(httpProblems.SignInNeeded);
  }
}

/**
 * Whether a page of another site made a browser send this. Browsers say where a request comes from and pages cannot change
 * what they say; programs that are no browsers say nothing.
 */
export function isCrossSite(request: HttpRequest): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) {
    return site !== "same-origin" && site !== "none";
  }
  const origin = request.headers.get("origin");
  return origin !== null && URL.parse(origin)?.host !== URL.parse(request.url)?.host;
}
