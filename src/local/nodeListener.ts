import { createServer, type OutgoingHttpHeaders, type RequestListener, request } from "node:http";
import { duplexPair } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { Call, Reply } from "./service.ts";

/** What a {@link Call} is sent on with. */
export interface Forwarding {
  /** Path with query, as the listener shall see it. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/**
 * Lets an ordinary Node.js request listener (a web framework) answer a service's calls. It gets real requests over a
 * connection within the process; no port is opened.
 */
export function answerWith(listener: RequestListener): (call: Call, to: Forwarding) => Promise<Reply> {
  const server = createServer(listener);
  return (call, to) =>
    new Promise((resolve, reject) => {
      const [far, near] = duplexPair();
      server.emit("connection", far);
      const { body = call.body } = to;
      const { "transfer-encoding": _chunked, ...headers } = call.headers;
      const forwarded = request(
        {
          createConnection: () => near,
          method: call.method,
          path: to.target,
          headers: { ...headers, ...to.headers, "content-length": body.length, connection: "close" },
        },
        (response) => {
          buffer(response).then(
            (content) =>
              resolve({
                status: response.statusCode ?? 500,
                headers: endToEnd(response.headers),
                ...(content.length === 0 ? {} : { body: content }),
              }),
            reject,
          );
        },
      );
      forwarded.on("error", reject);
      forwarded.end(body);
    });
}

/** Without what concerns only the connection within the process, and what the host says itself. */
function endToEnd(headers: OutgoingHttpHeaders): Record<string, string> {
  const {
    connection: _c,
    "keep-alive": _k,
    "content-length": _l,
    "transfer-encoding": _t,
    date: _d,
    ...rest
  } = headers;
  // `set-cookie` is a list; the response takes lists as they are.
  return rest as Record<string, string>;
}
