import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { RotatorError } from "../errors.ts";
import { signInProblems } from "./problems.ts";

/** Where the browser comes back to, on this machine only. */
export interface CallbackServer extends AsyncDisposable {
  /** The exact address, with the port that was found. */
  readonly redirectUri: string;
  /** Resolves when the browser has come. */
  readonly callback: Promise<Callback>;
}

export interface Callback {
  /** With all that the provider sent along. */
  readonly url: URL;
  /** Shows the browser a page. */
  answer(page: string): Promise<void>;
}

/**
 * Listens on 127.0.0.1. Only a GET of the exact path with a `state` counts, and only the first one: everything else is
 * answered with 404, so that a browser's look for an icon does not end the sign-in.
 *
 * @param address `http://127.0.0.1/callback`; without a port, any free one is taken.
 * @throws RotatorError `PortUnusable`
 */
export async function startCallbackServer(address: string): Promise<CallbackServer> {
  const redirect = new URL(address);
  const { promise: callback, resolve } = Promise.withResolvers<Callback>();
  let isTaken = false;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", redirect);
    const isExpected =
      request.method === "GET" && url.pathname === redirect.pathname && url.searchParams.has("state");
    if (isTaken || !isExpected) {
      send(response, 404, "");
      return;
    }
    isTaken = true;
    // Also where the browser goes away before the answer.
    const closed = new Promise<void>((close) => response.once("close", close));
    resolve({
      url,
      answer: (page) => {
        send(response, 200, page);
        return closed;
      },
    });
  });
  const port = redirect.port === "" ? 0 : Number(redirect.port);
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new RotatorError(signInProblems.PortUnusable, { cause, facts: { port } });
  }
  redirect.port = String((server.address() as AddressInfo).port);
  return {
    // Spelt as it is registered: a URL would add a slash to an address that has no path.
    redirectUri: address.replace(/^(http:\/\/[^/:]+)(?::\d+)?/, `$1:${redirect.port}`),
    callback,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function send(response: ServerResponse, status: number, page: string): void {
  // Whoever has gone away misses nothing.
  response.on("error", () => {});
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    // The address of the page holds the code.
    "referrer-policy": "no-referrer",
    connection: "close",
  });
  response.end(page);
}
