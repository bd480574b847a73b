import type { HttpResponseInit } from "@azure/functions";
import type { RotatorError } from "../errors.ts";
import { callersStatus } from "./problems.ts";

/** On every answer: nothing is kept, guessed at, framed or loaded, and no address is passed on. */
const secured = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export function answer(
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): HttpResponseInit {
  return { status, headers: { ...secured, "content-type": contentType, ...headers }, body };
}

export function json(status: number, body: object): HttpResponseInit {
  return answer(status, "application/json", JSON.stringify(body));
}

/** The problem without the facts of its occurrence, which may hold claims of a token; those are in the log. */
export function problem(error: RotatorError): HttpResponseInit {
  const { code, message, remedy } = error;
  return answer(statusOf(error), "application/problem+json", JSON.stringify({ code, message, remedy }));
}

export function statusOf({ code, retryable }: RotatorError): number {
  return callersStatus.get(code) ?? (retryable ? 503 : 500);
}
