import { RotatorError } from "../errors.ts";
import { isSafeForSecrets } from "./address.ts";
import { oauthProblems } from "./problems.ts";

type Fetch = typeof globalThis.fetch;

/** What a token answer, a discovery document or an API's answer never comes near to. */
const maxAnswerBytes = 1024 * 1024;

/**
 * A `fetch` to send secrets with: only to https addresses (http for loopback ones), no redirect is followed, the answer
 * is limited to 1 MiB after decompression, and the signal in its options ends it at any point, the body included.
 *
 * @param transport Does the sending; Node's own `fetch`, looked up anew for each request.
 * @throws RotatorError `AddressNotSafe`, `RedirectRefused`, `AnswerTooLarge`, `EndpointUnreachable`,
 *   `EndpointCertificateRefused`, and while the body is read `AnswerInterrupted` and `AnswerTooLarge`; the signal's reason
 *   once it aborts.
 */
export function safeFetch(transport: Fetch = (input, init) => globalThis.fetch(input, init)): Fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const facts = { host: url.host };
    if (!isSafeForSecrets(url)) {
      throw new RotatorError(oauthProblems.AddressNotSafe, { facts });
    }
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    signal?.throwIfAborted();
    let response: Response;
    try {
      response = await transport(input, { ...init, redirect: "manual" });
    } catch (error) {
      signal?.throwIfAborted();
      throw connectionError(error, url);
    }
    if (isRedirect(response)) {
      await discard(response);
      throw new RotatorError(oauthProblems.RedirectRefused, {
        facts: { ...facts, httpStatus: response.status },
      });
    }
    if (Number(response.headers.get("content-length")) > maxAnswerBytes) {
      await discard(response);
      throw new RotatorError(oauthProblems.AnswerTooLarge, {
        facts: { ...facts, httpStatus: response.status },
      });
    }
    return response.body === null ? response : withLimitedBody(response, response.body, url, signal);
  };
}

function withLimitedBody(
  response: Response,
  body: ReadableStream<Uint8Array>,
  url: URL,
  signal: AbortSignal | undefined,
): Response {
  const reader = body.getReader();
  const facts = { host: url.host, httpStatus: response.status };
  let received = 0;
  const limited = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const part = await reader.read().catch((cause: unknown) => {
        signal?.throwIfAborted();
        throw new RotatorError(oauthProblems.AnswerInterrupted, { cause, facts, ambiguous: true });
      });
      if (part.done) {
        controller.close();
        return;
      }
      received += part.value.byteLength;
      if (received > maxAnswerBytes) {
        const error = new RotatorError(oauthProblems.AnswerTooLarge, { facts });
        // Not awaited: it ends the connection, and nobody waits for that.
        reader.cancel(error).catch(() => {});
        throw error;
      }
      controller.enqueue(part.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(limited, {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
}

/** 304 counts: it answers a condition that we never send. A browser-like transport hides the status behind the type. */
function isRedirect(response: Response): boolean {
  return response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400);
}

/** Frees the connection. */
async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

function connectionError(error: unknown, url: URL): RotatorError {
  // Node wraps the reason: TypeError "fetch failed", whose cause has the code.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
  const problem = /CERT|TLS|SSL|ISSUER|SIGNATURE/.test(code)
    ? oauthProblems.EndpointCertificateRefused
    : oauthProblems.EndpointUnreachable;
  return new RotatorError(problem, {
    cause,
    facts: { host: url.host, ...(/^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? { errorCode: code } : {}) },
    ambiguous: problem === oauthProblems.EndpointUnreachable && !neverSent.has(code),
  });
}

/** The request did not leave: the other side cannot have acted on it. */
const neverSent: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);
