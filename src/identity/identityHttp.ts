import { AsyncLocalStorage } from "node:async_hooks";
import { createDefaultHttpClient, type HttpClient, type PipelineRequest } from "@azure/core-rest-pipeline";
import type { HeaderSource } from "../retryAfter.ts";

/** What came back over HTTP last while a token was asked for. */
export interface IdentityAnswer {
  /** Absent where there was no answer. */
  readonly status?: number;
  readonly headers?: HeaderSource;
  /** Only to be searched: it may echo anything. */
  readonly body?: string;
  /** Of the connection: `ECONNREFUSED`. */
  readonly errorCode?: string;
}

/** How long the endpoint may take. Nothing of what calls it can be told to stop. */
const timeoutMs = 10_000;

const inner = createDefaultHttpClient();
const watched = new AsyncLocalStorage<{ answer?: IdentityAnswer }>();

/**
 * The HTTP client of every credential. It limits each request in time and notes what came back, because MSAL's errors do
 * not: an answer that is not JSON becomes "network unreachable", and a `Retry-After` is dropped.
 *
 * There is one for the process: MSAL keeps the client of the first managed identity credential for all later ones.
 */
export const identityHttpClient: HttpClient = {
  sendRequest: async (request) => {
    const watch = watched.getStore() ?? {};
    try {
      request.timeout = timeoutMs;
      const response = await inner.sendRequest(request);
      const { status, headers, bodyAsText } = response;
      watch.answer = { status, headers, body: bodyAsText ?? "" };
      return response;
    } catch (error) {
      const { code } = error as { code?: unknown };
      watch.answer =
        typeof code === "string" && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? { errorCode: code } : {};
      throw error;
    } finally {
      forgetController(request);
    }
  },
};

/**
 * `@azure/identity` keeps a controller for every request that it has ever made, about a kilobyte, and forgets them when one
 * of them is aborted; but it never aborts any. What it would do then is done here, once the request is over.
 */
function forgetController({ abortSignal }: PipelineRequest): void {
  if (abortSignal instanceof AbortSignal) {
    abortSignal.onabort?.(new Event("abort"));
  }
}

/** Runs `work` and hands an error of it to `mapped`, with what came back last. */
export async function watching<T>(
  work: () => Promise<T>,
  mapped: (error: unknown, answer: IdentityAnswer | undefined) => Error,
): Promise<T> {
  const watch: { answer?: IdentityAnswer } = {};
  try {
    return await watched.run(watch, work);
  } catch (error) {
    throw mapped(error, watch.answer);
  }
}
