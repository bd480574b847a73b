import type { ContainerAppsAPIClient } from "@azure/arm-appcontainers";
import { retry } from "../core/retry.ts";
import { RotatorError } from "../errors.ts";
import { isLoopback } from "../loopback.ts";
import type { ConsumerEnvironment } from "../plugins.ts";
import type { CallContext } from "../ports.ts";
import { type HeaderSource, retryAfterMs } from "../retryAfter.ts";
import { type ArmCall, consumerErrorOf, consumerProblems } from "./containerAppProblems.ts";
import { parseResourceId } from "./resourceId.ts";

export interface Answered<T> {
  readonly body: T;
  readonly status: number;
  /** Milliseconds since the epoch, by the `Date` of the answer: whole seconds, rounded down. */
  readonly serverTime: number;
  /** Milliseconds of its `Retry-After`. */
  readonly retryAfterMs: number | undefined;
}

/** Passes the options on to the operation of the client. */
export type Send<T> = (client: ContainerAppsAPIClient, options: SendOptions) => Promise<T>;

/** Makes something of an answer that the client refused; `undefined` lets the refusal stand. */
export type Salvage<T> = (answer: RawAnswer) => T | undefined;

export interface SendOptions {
  readonly abortSignal: AbortSignal;
  readonly requestOptions: { readonly timeout: number };
  readonly onResponse: (answer: RawAnswer) => void;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: HeaderSource;
  readonly parsedBody?: unknown;
}

/** A connection that hangs must not hold up a tick. */
const requestTimeoutMs = 30_000;

/** Calls about one resource, through the real client, with its errors turned into ours. */
export class ArmCalls {
  readonly #resource: string;
  readonly #environment: ConsumerEnvironment;

  constructor(resource: string, environment: ConsumerEnvironment) {
    this.#resource = resource;
    this.#environment = environment;
  }

  /** A read: tried again while that may help. */
  read<T>(action: string, context: CallContext, send: Send<T>, salvage?: Salvage<T>): Promise<Answered<T>> {
    const { clock } = this.#environment;
    return retry(() => this.write({ action }, context, send, salvage), { clock, context });
  }

  /** A write: sent once, because one whose answer was lost must look before it writes again. */
  async write<T>(
    call: Omit<ArmCall, "resource">,
    { signal }: CallContext,
    send: Send<T>,
    salvage?: Salvage<T>,
  ): Promise<Answered<T>> {
    let answer: RawAnswer | undefined;
    const options: SendOptions = {
      abortSignal: signal,
      requestOptions: { timeout: requestTimeoutMs },
      onResponse: (seen) => {
        answer = seen;
      },
    };
    try {
      const client = await clientFor(parseResourceId(this.#resource).subscription, this.#environment);
      return answered(await send(client, options), answer);
    } catch (error) {
      signal.throwIfAborted();
      const body = answer === undefined ? undefined : salvage?.(answer);
      if (body === undefined) {
        throw consumerErrorOf(error, { ...call, resource: this.#resource });
      }
      return answered(body, answer);
    }
  }

  /**
   * Something that is done anew each time it is asked for: asked again only where it was surely not heard.
   * @returns `unsure` where no answer came, `gone` where there is nothing of that name.
   */
  async ask(action: string, context: CallContext, send: Send<void>): Promise<"heard" | "unsure" | "gone"> {
    const { clock } = this.#environment;
    const once = async () => {
      try {
        await this.write({ action }, context, send);
        return "heard";
      } catch (error) {
        if (error instanceof RotatorError && error.ambiguous) {
          return "unsure";
        }
        throw error;
      }
    };
    try {
      return await retry(once, { clock, context });
    } catch (error) {
      if (isNotFound(error)) {
        return "gone";
      }
      throw error;
    }
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof RotatorError && error.code === consumerProblems.ConsumerNotFound.code;
}

function answered<T>(body: T, answer: RawAnswer | undefined): Answered<T> {
  const serverTime = Date.parse(answer?.headers.get("date") ?? "");
  if (answer === undefined || Number.isNaN(serverTime)) {
    throw new RotatorError(consumerProblems.ConsumerAnswerUnreadable, { facts: { header: "Date" } });
  }
  return { body, status: answer.status, serverTime, retryAfterMs: retryAfterMs(answer.headers) };
}

/** One client per subscription for all consumers of one identity. What failed is not kept. */
function clientFor(subscription: string, environment: ConsumerEnvironment): Promise<ContainerAppsAPIClient> {
  const { credential, resourceManagerUrl } = environment;
  const clients = clientsOf.get(credential) ?? new Map<string, Promise<ContainerAppsAPIClient>>();
  clientsOf.set(credential, clients);
  const key = `${resourceManagerUrl} ${subscription.toLowerCase()}`;
  const known = clients.get(key);
  if (known !== undefined) {
    return known;
  }
  const client = createClient(subscription, environment);
  clients.set(key, client);
  client.catch(() => clients.delete(key));
  return client;
}

const clientsOf = new WeakMap<
  ConsumerEnvironment["credential"],
  Map<string, Promise<ContainerAppsAPIClient>>
>();

async function createClient(
  subscription: string,
  { credential, resourceManagerUrl }: ConsumerEnvironment,
): Promise<ContainerAppsAPIClient> {
  const [{ ContainerAppsAPIClient }, identity] = await Promise.all([
    import("@azure/arm-appcontainers"),
    credential(),
  ]);
  return new ContainerAppsAPIClient(identity, subscription, {
    endpoint: resourceManagerUrl,
    credentials: { scopes: [`${audienceOf(resourceManagerUrl)}/.default`] },
    // Retrying is ours: the SDK would send a write again whose answer was lost.
    retryOptions: { maxRetries: 0 },
  });
}

/** The resource manager of each cloud is its own audience; an embedded one speaks for the public cloud. */
function audienceOf(resourceManagerUrl: string): string {
  return isLoopback(new URL(resourceManagerUrl)) ? "https://management.azure.com" : resourceManagerUrl;
}
