import { AsyncLocalStorage } from "node:async_hooks";
import type { HttpClient, PipelineRequest, PipelineResponse } from "@azure/core-rest-pipeline";
import { createLane, type Lane } from "../core/rateLimit.ts";
import { retry } from "../core/retry.ts";
import type { CallContext, Clock } from "../ports.ts";
import { answerError, connectionError, describeCall, malformedAnswer } from "./keyVaultErrors.ts";

export interface VaultLimits {
  /** New versions that may be begun in any `windowMs`; Key Vault takes 300 in 10 seconds. */
  readonly creates: number;
  /** All other calls; Key Vault takes 4,000 in 10 seconds. */
  readonly others: number;
  readonly windowMs: number;
  /** Calls of either kind that run at once. */
  readonly concurrency: number;
  /** How long one try may take. */
  readonly tryTimeoutMs: number;
}

export const publishedLimits: VaultLimits = {
  creates: 300,
  others: 4_000,
  // The vault counts when a call arrives. A little longer than its 10 seconds, so that calls which do not all take
  // equally long to get there arrive no closer together than they may.
  windowMs: 10_250,
  concurrency: 16,
  tryTimeoutMs: 10_000,
};

/** After a 429, no other call of that kind begins for so long, unless the vault asks for longer. */
const shortestPauseMs = 1_000;
const longestPauseMs = 16_000;

export interface VaultTransport {
  /** For the Key Vault client. Whatever is no success is thrown, also a redirect; but for a 401, which the client must see. */
  readonly httpClient: HttpClient;
  /** Runs `work`; the context holds for every request that it makes. */
  within<T>(context: CallContext, work: () => Promise<T>): Promise<T>;
  /** The context of the work that is running. */
  context(): CallContext;
}

/**
 * How requests reach one vault: within its limits, each try bounded in time, and the answer turned into an error of ours
 * where it is one. Requests that change nothing or can be repeated are retried here, one by one, so that a listing of
 * 400 pages does not begin anew when the last one fails; a new version is not, because whoever writes it must look first.
 *
 * This stands in place of the HTTP client rather than in the calls, because the Key Vault client hands neither signal nor
 * options on to the second page of a listing. The context travels beside it for the same reason.
 */
export function createVaultTransport(options: {
  readonly send: HttpClient;
  readonly clock: Clock;
  readonly limits: VaultLimits;
  readonly onThrottled: () => void;
}): VaultTransport {
  const { send, clock, limits, onThrottled } = options;
  const { windowMs, concurrency, tryTimeoutMs } = limits;
  const contexts = new AsyncLocalStorage<CallContext>();
  const creates = createLane({ clock, limit: limits.creates, windowMs, concurrency });
  const others = createLane({ clock, limit: limits.others, windowMs, concurrency });

  function context(): CallContext {
    const running = contexts.getStore();
    if (running === undefined) {
      throw new Error("a request to a vault was made outside of within()");
    }
    return running;
  }

  async function exchange(request: PipelineRequest, lane: Lane): Promise<PipelineResponse> {
    const { signal } = context();
    const call = () => describeCall(request.method, request.url);
    let response: PipelineResponse;
    try {
      // On a copy: the client's authentication shares one token request among concurrent calls only while the request
      // has neither a timeout nor a signal of its own.
      response = await send.sendRequest({ ...request, timeout: tryTimeoutMs, abortSignal: signal });
    } catch (error) {
      signal.throwIfAborted();
      throw connectionError(call(), error);
    }
    const { status, headers, bodyAsText } = response;
    if (status === 401) {
      return response;
    }
    if (status < 300) {
      if (headers.get("content-type")?.startsWith("application/json")) {
        return response;
      }
      throw malformedAnswer(call(), status);
    }
    const error = answerError(call(), { status, headers, body: bodyAsText ?? "" });
    if (status === 429) {
      onThrottled();
      lane.pause(Math.min(Math.max(error.retryAfterMs ?? 0, shortestPauseMs), longestPauseMs));
    }
    throw error;
  }

  return {
    context,
    within: (running, work) => contexts.run(running, work),
    httpClient: {
      sendRequest: (request) => {
        const isCreate = request.method === "PUT";
        const lane = isCreate ? creates : others;
        const attempt = () => lane.run(() => exchange(request, lane), context().signal);
        return isCreate ? attempt() : retry(attempt, { clock, context: context() });
      },
    },
  };
}
