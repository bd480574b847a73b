import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../ports.ts";
import type { Faults } from "./faults.ts";
import type { RequestLog } from "./requestLog.ts";

/**
 * One service of the embedded Azure behind one listener of its own. To add a service, write one file that hands such an
 * object to {@link EmbeddedHost.serve}, and start it in `azure.ts`. Faults, the request log, TLS and stopping come from
 * the host; the service only answers.
 */
export interface EmbeddedService {
  /** Stable; the first part of the names of its operations: `keyvault`. */
  readonly name: string;
  /** Tells services of one name apart: the name of the vault. */
  readonly instance?: string;
  /** Default `https`; only the identity endpoint is plain http in Azure. */
  readonly scheme?: "http" | "https";
  /** Default an ephemeral port. */
  readonly port?: number;
  /** Octets that a request body may have. Default 1 MiB. */
  readonly bodyLimit?: number;
  /** Tried in this order; the first whose method and path match takes the call. */
  readonly routes: readonly Route[];
  /**
   * Runs before everything else on a known route. A refusal that it throws is logged as the operation
   * `<name>.challenge`, so that a call that never got in is not counted as the operation and takes no fault meant for it.
   */
  authenticate?(call: Call): Promise<Caller>;
  /** The service's own shape of an error body, for what the host refuses and for injected answers that bring none. */
  errorBody?(status: number, message: string): unknown;
}

export interface Route {
  /** Second part of the operation's name: `setSecret` makes `keyvault.setSecret`. */
  readonly operation: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /**
   * Segments with parameters: `/secrets/:name/:version`. Literal segments compare without case, empty segments (a
   * doubled or trailing slash) do not count.
   */
  readonly path: string;
  /** What the call is about, for the log and for faults: by default the parameter `name`. No secret may be in it. */
  target?(call: Call): string;
  /** The role action that the call needs, for the log. */
  readonly action?: string;
  /** Takes effect and says what to answer. May throw a {@link Refusal}. */
  handle(call: Call): Reply | Promise<Reply>;
}

/** One request, read in full. */
export interface Call {
  readonly operation: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  /** Names and values decoded: the Key Vault client sends `api%2Dversion`. */
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Scheme, host and port as the client addressed them, without a trailing slash. */
  readonly origin: string;
  /** Set where the service authenticates. */
  readonly caller: Caller | undefined;
  /** The service's own clock in milliseconds since the epoch: the host's, with an injected skew. */
  now(): number;
}

/** Whom a bearer token speaks for. */
export interface Caller {
  readonly objectId: string;
  readonly clientId: string;
  readonly issuer: string;
}

/** An object is sent as JSON, a string or a buffer as it is. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Thrown by a service to answer with an error. */
export class Refusal extends Error {
  readonly reply: Reply;

  constructor(reply: Reply) {
    super(`HTTP ${reply.status}`);
    this.reply = reply;
  }
}

/** What the host gives a service. */
export interface EmbeddedHost {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly requests: RequestLog;
  /** PEM of a certificate for every loopback name and of its key, for listeners that are not HTTP. */
  readonly tls: { readonly key: string; readonly cert: string };
  /** Listens on 127.0.0.1 until the embedded Azure stops. Returns the URL without a trailing slash. */
  serve(service: EmbeddedService): Promise<string>;
  /** Runs when the embedded Azure stops, beside the closing of the listeners. */
  onStop(stop: () => void | Promise<void>): void;
}

/** The body as a JSON object; `undefined` where it is something else. */
export function jsonBody(call: Call): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(call.body.toString("utf8"));
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The body as `application/x-www-form-urlencoded`. */
export function formBody(call: Call): URLSearchParams {
  return new URLSearchParams(call.body.toString("utf8"));
}

/** The token of an `Authorization: Bearer` header. */
export function bearerToken(call: Call): string | undefined {
  return /^Bearer +(\S+)$/i.exec(call.headers.authorization ?? "")?.[1];
}
