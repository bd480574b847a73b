import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import type { HttpCookie, HttpData, InvocationResponse, NullableValue } from "./coreModule.ts";
import type { AuthLevel, HttpFunction } from "./triggers.ts";

export interface HttpKeys {
  /** Opens every function of level `function`. */
  readonly functionKey: string;
  /** Opens every function. */
  readonly masterKey: string;
}

/**
 * A server for the HTTP functions of an app, not yet listening. Each request becomes what the runtime would send to the
 * worker (an `RpcHttp` message), and the worker's answer a response; bodies are passed whole, nothing is streamed.
 */
export function createHttpTriggers(
  functions: readonly HttpFunction[],
  keys: HttpKeys,
  invoke: (httpFunction: HttpFunction, request: HttpData) => Promise<InvocationResponse>,
): Server {
  const inOrder = functions.toSorted((a, b) => a.route.rank.localeCompare(b.route.rank));
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const url = URL.parse(`http://${request.headers.host}${request.url}`);
    if (url === null) {
      response.writeHead(400).end();
      return;
    }
    // A path whose method is not allowed is unknown to the runtime too: 404, not 405.
    const found = inOrder.find(
      ({ methods, route }) =>
        methods.includes(request.method ?? "") && route.match(url.pathname) !== undefined,
    );
    const params = found?.route.match(url.pathname);
    if (found === undefined || params === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (!allowed(found.authLevel, request.headers["x-functions-key"] ?? url.searchParams.get("code"), keys)) {
      response.writeHead(401).end();
      return;
    }
    const body = await buffer(request);
    const { returnValue } = await invoke(found, toHttpData(request, url, params, body));
    send(response, returnValue?.http);
  };
  return createServer((request, response) => {
    answer(request, response).catch(() => {
      // What a function failed with is in the log; the runtime tells the caller nothing of it either.
      if (response.headersSent) {
        response.destroy();
      } else {
        response.writeHead(500).end();
      }
    });
  });
}

function allowed(
  level: AuthLevel,
  key: string | string[] | null,
  { functionKey, masterKey }: HttpKeys,
): boolean {
  if (level === "anonymous") {
    return true;
  }
  const accepted = level === "function" ? [functionKey, masterKey] : [masterKey];
  return typeof key === "string" && accepted.some((candidate) => equal(candidate, key));
}

/** Compares in constant time; hashed first, because the comparison wants equal lengths. */
function equal(a: string, b: string): boolean {
  const [first, second] = [a, b].map((text) => createHash("sha256").update(text).digest());
  return first !== undefined && second !== undefined && timingSafeEqual(first, second);
}

function toHttpData(
  request: IncomingMessage,
  url: URL,
  params: Record<string, string>,
  body: Uint8Array,
): HttpData {
  const headers = Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(",")]);
  const query = [...new Set(url.searchParams.keys())].map((name) => [
    name,
    url.searchParams.getAll(name).join(","),
  ]);
  return {
    method: request.method ?? "GET",
    url: url.href,
    nullableHeaders: nullable(headers),
    nullableQuery: nullable(query),
    nullableParams: nullable(Object.entries(params)),
    body: body.length === 0 ? null : { bytes: body },
  };
}

function nullable(entries: string[][]): Record<string, NullableValue<string>> {
  return Object.fromEntries(entries.map(([name, value]) => [name, { value: value ?? null }]));
}

/** A function that returned nothing is answered with 204. */
function send(response: ServerResponse, data: HttpData | null | undefined): void {
  const cookies = (data?.cookies ?? []).map(toSetCookie);
  if (cookies.length > 0) {
    response.setHeader("set-cookie", cookies);
  }
  response.writeHead(Number(data?.statusCode ?? 204), data?.headers ?? {});
  response.end(data?.body?.bytes ?? data?.body?.string ?? undefined);
}

function toSetCookie(cookie: HttpCookie): string {
  const expires = cookie.expires?.value?.seconds;
  const sameSite = cookie.sameSite === "explicitNone" ? "none" : cookie.sameSite;
  const attributes = [
    ["domain", cookie.domain?.value],
    ["path", cookie.path?.value],
    ["expires", typeof expires === "number" ? new Date(expires * 1000).toUTCString() : undefined],
    ["max-age", cookie.maxAge?.value],
    // `none` is what the worker sends where the function said nothing.
    ["samesite", cookie.sameSite === "none" ? undefined : sameSite],
  ].flatMap(([name, value]) => (value === undefined || value === null ? [] : `${name}=${value}`));
  const flags = [cookie.secure?.value ? "secure" : [], cookie.httpOnly?.value ? "httponly" : []].flat();
  const value = encodeURIComponent(cookie.value ?? "");
  return [`${cookie.name}=${value}`, ...attributes, ...flags].join("; ");
}
