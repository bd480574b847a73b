import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { problems, RotatorError } from "../errors.ts";
import { Exchange } from "./exchange.ts";
import type { EmbeddedHost, EmbeddedService } from "./service.ts";

export interface Listener {
  /** Without a trailing slash. */
  readonly url: string;
  /** Cuts every connection, also those that clients keep alive. */
  stop(): Promise<void>;
}

const serverProblems = problems({
  PortUnavailable: {
    message: "The embedded Azure cannot listen on a port that it was told to use.",
    remedy: "End the program that holds the port, or choose another one.",
    retryable: false,
  },
});

/**
 * Puts a service behind a listener on 127.0.0.1.
 * @throws RotatorError `PortUnavailable`
 */
export async function listen(
  service: EmbeddedService,
  host: Pick<EmbeddedHost, "clock" | "faults" | "requests" | "tls">,
): Promise<Listener> {
  const scheme = service.scheme ?? "https";
  const stopping = new AbortController();
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    new Exchange(service, host, scheme, stopping.signal, request, response).run().catch((error: unknown) => {
      // A client that goes away in the middle of its request is nobody's defect.
      if (!stopping.signal.aborted && request.complete) {
        host.requests.defects.push(error);
      }
      response.destroy();
    });
  };
  const server =
    scheme === "http"
      ? createHttpServer(serve)
      : // Key Vault refuses anything below TLS 1.2.
        createHttpsServer({ ...host.tls, minVersion: "TLSv1.2" }, serve);
  // Kept-alive connections live as long as the listener: one that the server closes just as the client sends its next
  // request is a connection reset that nobody injected.
  server.keepAliveTimeout = 0;
  const port = await bind(server, service.port ?? 0);
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    stop: () => {
      stopping.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}

function bind(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new RotatorError(serverProblems.PortUnavailable, { cause, facts: { port } }));
    });
    server.listen(port, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
