import type { CustomFetchOptions } from "oauth4webapi";
import { type Facts, RotatorError } from "../errors.ts";
import type { CallContext } from "../ports.ts";
import type { SecretValue } from "../secretValue.ts";
import type { OAuthEnvironment } from "./client.ts";
import { oauthProblems } from "./problems.ts";
import { type Grant, refusalError } from "./refusals.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

type LibraryRequest = CustomFetchOptions<string, URLSearchParams | undefined>;

/**
 * `fetch` as oauth4webapi wants it, for one grant: what comes out has status 200 and a JSON object as body; everything
 * else has become a RotatorError, before the library could put an answer's body into an error of its own.
 *
 * @param adapt Brings a provider's own shape of a success into the standard one.
 */
export function endpointFetch(
  environment: OAuthEnvironment,
  grant: Grant,
  adapt: (body: JsonObject) => JsonObject = (body) => body,
): (url: string, request: LibraryRequest) => Promise<Response> {
  return async (url, { body, ...init }) => {
    const answer = await fetchJson(environment, grant, url, body === undefined ? init : { ...init, body });
    return Response.json(adapt(answer));
  };
}

/**
 * POSTs JSON to a provider's API with a bearer token; gives the JSON object that it answers.
 * @throws RotatorError of `oauthProblems`, refusals among them.
 */
export function callApi(
  environment: OAuthEnvironment,
  request: { readonly url: string; readonly token: SecretValue; readonly body: JsonObject },
  context: CallContext,
): Promise<JsonObject> {
  return fetchJson(environment, "api", request.url, {
    method: "POST",
    headers: {
      accept: "application/json",
      authorization: `Bearer ${request.token.reveal()}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(request.body),
    signal: context.signal,
  });
}

/** A success that is none. The request may have had its effect: a one-time refresh token may be spent. */
export function malformed(facts: Facts, cause?: unknown): RotatorError {
  return new RotatorError(oauthProblems.TokenAnswerMalformed, { facts, cause, ambiguous: true });
}

async function fetchJson(
  environment: OAuthEnvironment,
  grant: Grant,
  address: string,
  init: RequestInit,
): Promise<JsonObject> {
  const url = new URL(address);
  const response = await environment.fetch(url, init);
  const body = jsonObject(response.headers, await response.text());
  if (!response.ok) {
    const { status, headers } = response;
    throw refusalError({ grant, url, status, headers, body });
  }
  if (body === undefined) {
    throw malformed({ host: url.host, httpStatus: response.status });
  }
  return body;
}

function jsonObject(headers: Headers, text: string): JsonObject | undefined {
  const [mediaType = ""] = (headers.get("content-type") ?? "").split(";");
  if (!/^application\/([\w.+-]+\+)?json$/i.test(mediaType.trim())) {
    return undefined;
  }
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null && !Array.isArray(body)
      ? (body as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}
