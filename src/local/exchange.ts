import type { IncomingMessage, ServerResponse } from "node:http";
import type { Disruption } from "./faults.ts";
import type { OpenRecord, RequestRecord } from "./requestLog.ts";
import { findRoute, splitTarget } from "./routing.ts";
import {
  type Call,
  type Caller,
  type EmbeddedHost,
  type EmbeddedService,
  Refusal,
  type Reply,
} from "./service.ts";

/** One request from its arrival to its answer. */
export class Exchange {
  readonly #service: EmbeddedService;
  readonly #host: Pick<EmbeddedHost, "clock" | "faults" | "requests">;
  readonly #scheme: string;
  readonly #signal: AbortSignal;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #skewMs = 0;

  constructor(
    service: EmbeddedService,
    host: Pick<EmbeddedHost, "clock" | "faults" | "requests">,
    scheme: string,
    signal: AbortSignal,
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    this.#service = service;
    this.#host = host;
    this.#scheme = scheme;
    this.#signal = signal;
    this.#request = request;
    this.#response = response;
  }

  async run(): Promise<void> {
    const { faults, requests } = this.#host;
    const { call, handle, record } = await this.#admit();
    const open = requests.begin(record);

    if ((await faults.pass("beforeCall", open, this.#signal)) === "drop") {
      return this.#cut(open, "dropped");
    }
    const latencyMs = faults.latencyMs(open);
    if (latencyMs > 0) {
      note(open, `latency ${latencyMs} ms`);
      await this.#host.clock.sleep(latencyMs, this.#signal);
    }
    const disruption = faults.disruption(open);
    if (disruption?.kind === "reset") {
      return this.#cut(open, "reset");
    }
    if (disruption?.kind === "answer") {
      note(open, String(disruption.status));
      return this.#answer(open, this.#injectedReply(disruption));
    }

    const reply = await this.#effect(open, () => handle(call));
    const verdict = await faults.pass("afterEffect", open, this.#signal, reply);
    if (verdict === "drop") {
      return this.#cut(open, "dropped");
    }
    if (disruption?.kind === "lostResponse") {
      if (disruption.status === undefined) {
        return this.#cut(open, "lostResponse");
      }
      note(open, "lostResponse");
      return this.#answer(open, this.#errorReply(disruption.status, "The gateway got no answer."));
    }
    return this.#answer(open, reply);
  }

  /** Finds the route, reads the request, authenticates the caller, and says what is left to do. */
  async #admit(): Promise<{
    call: Call;
    handle: (call: Call) => Reply | Promise<Reply>;
    record: Parameters<EmbeddedHost["requests"]["begin"]>[0];
  }> {
    const service = this.#service;
    const { path, query } = splitTarget(this.#request.url ?? "/");
    const method = this.#request.method ?? "GET";
    const found = findRoute(service.routes, method, path);
    const body = await readBody(this.#request, service.bodyLimit ?? 1024 * 1024);
    const call: Call = {
      operation: `${service.name}.${found?.route.operation ?? "unknown"}`,
      method,
      path,
      params: found?.params ?? {},
      query,
      headers: this.#request.headers,
      body: body ?? Buffer.alloc(0),
      origin: `${this.#scheme}://${this.#request.headers.host ?? "127.0.0.1"}`,
      caller: undefined,
      now: () => this.#now(),
    };
    const record = {
      at: this.#host.clock.now(),
      service: service.name,
      instance: service.instance,
      operation: call.operation,
      method,
      path,
      target: found?.route.target?.(call) ?? call.params.name ?? "",
      action: found?.route.action,
      caller: undefined as Caller | undefined,
    };
    if (found === undefined) {
      const missing = this.#errorReply(404, `There is nothing at ${method} ${path}.`);
      return { call, handle: () => missing, record };
    }
    if (body === undefined) {
      const tooLarge = this.#errorReply(413, "The request body is too large.");
      return { call, handle: () => tooLarge, record };
    }
    // The skew is in force before the token is checked.
    this.#skewMs = this.#host.faults.skewMs(provisional(record));
    try {
      const caller = await service.authenticate?.(call);
      return {
        call: { ...call, caller },
        handle: (admitted) => found.route.handle(admitted),
        record: { ...record, caller },
      };
    } catch (error) {
      const reply = this.#replyTo(error);
      return { call, handle: () => reply, record: { ...record, operation: `${service.name}.challenge` } };
    }
  }

  async #effect(open: OpenRecord, handle: () => Reply | Promise<Reply>): Promise<Reply> {
    try {
      return await handle();
    } catch (error) {
      return this.#replyTo(error);
    } finally {
      open.effect = true;
    }
  }

  #replyTo(error: unknown): Reply {
    if (error instanceof Refusal) {
      return error.reply;
    }
    this.#signal.throwIfAborted();
    this.#host.requests.defects.push(error);
    return this.#errorReply(500, "The embedded Azure has a defect.");
  }

  #injectedReply(fault: Extract<Disruption, { kind: "answer" }>): Reply {
    const usual = this.#errorReply(fault.status, "Injected.");
    const retryAfter = fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) };
    return {
      status: fault.status,
      headers: { ...retryAfter, ...fault.headers },
      body: fault.body === undefined ? usual.body : fault.body,
    };
  }

  #errorReply(status: number, message: string): Reply {
    const body = this.#service.errorBody?.(status, message) ?? { error: { code: String(status), message } };
    return { status, body };
  }

  #answer(open: OpenRecord, reply: Reply): void {
    open.status = reply.status;
    const { body, type } = encode(reply.body);
    this.#response.sendDate = false;
    this.#response.writeHead(reply.status, {
      date: new Date(this.#now()).toUTCString(),
      ...(type === undefined ? {} : { "content-type": type }),
      ...(reply.status === 204 ? {} : { "content-length": body.length }),
      ...lowerCased(reply.headers ?? {}),
    });
    this.#response.end(body);
  }

  #cut(open: OpenRecord, why: string): void {
    note(open, why);
    this.#response.destroy();
  }

  #now(): number {
    return this.#host.clock.now() + this.#skewMs;
  }
}

function note(record: OpenRecord, fault: string): void {
  record.fault = record.fault === undefined ? fault : `${record.fault}, ${fault}`;
}

function provisional(record: Parameters<EmbeddedHost["requests"]["begin"]>[0]): RequestRecord {
  return { ...record, sequence: 0, effect: false, status: undefined, fault: undefined };
}

/** `undefined` where the body is larger than the limit; what is over it is read and dropped. */
async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= limit) {
      chunks.push(chunk);
    }
  }
  return size > limit ? undefined : Buffer.concat(chunks);
}

function encode(body: unknown): { body: Buffer; type: string | undefined } {
  if (body === undefined) {
    return { body: Buffer.alloc(0), type: undefined };
  }
  if (Buffer.isBuffer(body)) {
    return { body, type: "application/octet-stream" };
  }
  return typeof body === "string"
    ? { body: Buffer.from(body), type: "text/plain; charset=utf-8" }
    : { body: Buffer.from(JSON.stringify(body)), type: "application/json; charset=utf-8" };
}

/** One case, so that a service's own header replaces the one of the host. */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
