import { randomBytes, randomUUID } from "node:crypto";
import type { IssuedToken, Issuer, Principal } from "./issuer.ts";
import { type Call, type EmbeddedHost, Refusal, type Reply } from "./service.ts";

/** A managed identity that the function app carries. */
export interface ManagedIdentity extends Principal {
  readonly kind: "system" | "user";
}

/** How long tokens live and how long the platform hands out the same one. */
export interface TokenPolicy {
  /** Seconds from issue to expiry; a list gives those of successive tokens, the last one repeating. Default 24 hours. */
  readonly lifetimeSeconds?: number | readonly number[];
  /**
   * The platform hands out one token until this many seconds before it expires; `Infinity` issues a new one on every
   * request. Default half of the lifetime. That there is such a cache and that nobody can pass it is documented; when
   * it is renewed is not.
   */
  readonly renewBeforeSeconds?: number;
}

/** The managed identity endpoint of App Service and Functions, protocol 2019-08-01. */
export interface IdentityEndpoint {
  /** The value of `IDENTITY_ENDPOINT`. */
  readonly url: string;
  /** The value of `IDENTITY_HEADER`. */
  readonly header: string;
  /** What the app carries; assigned and unassigned at will. At most one system-assigned identity. */
  identities: readonly ManagedIdentity[];
  /** For tokens issued from now on; cached ones keep their lifetime. */
  policy: TokenPolicy;
  /** How many tokens were issued, cached answers not counted. */
  readonly issued: number;
}

const daySeconds = 24 * 60 * 60;
const identityParameters = ["client_id", "principal_id", "object_id", "mi_res_id"] as const;

export async function startIdentityEndpoint(
  host: EmbeddedHost,
  issuer: Issuer,
  options: { identities: readonly ManagedIdentity[]; policy?: TokenPolicy; port?: number },
): Promise<IdentityEndpoint> {
  // In Azure a GUID; any opaque text will do.
  const header = randomBytes(24).toString("hex");
  const cache = new PlatformCache(issuer);
  const origin = await host.serve({
    name: "identity",
    scheme: "http",
    ...(options.port === undefined ? {} : { port: options.port }),
    errorBody: (status, message) => ({ statusCode: status, message, correlationId: randomUUID() }),
    routes: [
      {
        operation: "token",
        method: "GET",
        path: "/msi/token",
        target: (call) => call.query.get("resource") ?? "",
        handle: token,
      },
    ],
  });
  const endpoint: IdentityEndpoint = {
    url: `${origin}/msi/token`,
    header,
    identities: options.identities,
    policy: options.policy ?? {},
    get issued() {
      return cache.issued;
    },
  };
  return endpoint;

  async function token(call: Call): Promise<Reply> {
    checkProtocol(call, header);
    const resource = call.query.get("resource") ?? "";
    if (resource === "") {
      throw badRequest("The required parameter 'resource' is missing.");
    }
    const identity = chosenIdentity(call, endpoint.identities);
    if (issuer.find(resource) === undefined) {
      throw unknownResource(resource, issuer.tenantId, call);
    }
    const issued = await cache.token(identity, resource, endpoint.policy, call.now());
    return {
      status: 200,
      // No `expires_in` and no `refresh_on`; the numbers are strings.
      body: {
        access_token: issued.value.reveal(),
        client_id: identity.clientId,
        expires_on: String(issued.expiresOn),
        not_before: String(issued.notBefore),
        // Echoed to the letter: MSAL finds its cached token by it.
        resource,
        token_type: "Bearer",
      },
    };
  }
}

/** One token per identity and resource. Whoever asks cannot force a new one. */
class PlatformCache {
  issued = 0;
  readonly #issuer: Issuer;
  readonly #entries = new Map<string, Entry>();

  constructor(issuer: Issuer) {
    this.#issuer = issuer;
  }

  token(identity: Principal, resource: string, policy: TokenPolicy, now: number): Promise<IssuedToken> {
    const key = `${identity.objectId} ${resource}`;
    const entry = this.#entries.get(key);
    if (entry !== undefined && now < entry.renewAt) {
      return entry.token;
    }
    const count = (entry?.count ?? 0) + 1;
    const lifetimeSeconds = lifetimeOf(policy, count);
    const renewBeforeSeconds = policy.renewBeforeSeconds ?? lifetimeSeconds / 2;
    this.issued += 1;
    const fresh: Entry = {
      token: this.#issuer.issue(identity, resource, lifetimeSeconds, now),
      renewAt: now + (lifetimeSeconds - renewBeforeSeconds) * 1000,
      count,
    };
    this.#entries.set(key, fresh);
    return fresh.token;
  }
}

interface Entry {
  readonly token: Promise<IssuedToken>;
  /** Milliseconds since the epoch. */
  readonly renewAt: number;
  /** How many tokens there have been for this key. */
  readonly count: number;
}

function lifetimeOf({ lifetimeSeconds = daySeconds }: TokenPolicy, count: number): number {
  if (typeof lifetimeSeconds === "number") {
    return lifetimeSeconds;
  }
  return lifetimeSeconds[Math.min(count, lifetimeSeconds.length) - 1] ?? daySeconds;
}

function checkProtocol(call: Call, header: string): void {
  // The body of this refusal is not documented; that the header is required is.
  if (call.headers["x-identity-header"] !== header) {
    throw new Refusal({
      status: 401,
      body: { statusCode: 401, message: "Unauthorized", correlationId: randomUUID() },
    });
  }
  const version = call.query.get("api-version");
  if (version !== "2019-08-01") {
    throw new Refusal({
      status: 400,
      body: {
        error: {
          code: "UnsupportedApiVersion",
          message: `The HTTP resource that matches the request URI '${call.origin}${call.path}' does not support the API version '${version ?? ""}'.`,
          innerError: null,
        },
      },
    });
  }
}

/** With no parameter the system-assigned identity; there is no fallback to a user-assigned one. */
function chosenIdentity(call: Call, identities: readonly ManagedIdentity[]): ManagedIdentity {
  const given = identityParameters.flatMap((name) => {
    const value = call.query.get(name);
    return value === null ? [] : [{ name, value: value.toLowerCase() }];
  });
  if (given.length > 1) {
    throw badRequest("At most one of client_id, principal_id, object_id and mi_res_id may be given.");
  }
  const [choice] = given;
  if (choice === undefined) {
    const system = identities.find((identity) => identity.kind === "system");
    if (system === undefined) {
      throw badRequest("Unable to load the proper Managed Identity.");
    }
    return system;
  }
  const chosen = identities.find(({ kind, clientId, objectId, resourceId }) => {
    const value = { client_id: clientId, mi_res_id: resourceId, principal_id: objectId, object_id: objectId };
    return kind === "user" && value[choice.name]?.toLowerCase() === choice.value;
  });
  if (chosen === undefined) {
    throw badRequest(
      "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
    );
  }
  return chosen;
}

/** Measured on this protocol: a message, and no OAuth `error`. */
function badRequest(message: string): Refusal {
  return new Refusal({ status: 400, body: { statusCode: 400, message, correlationId: randomUUID() } });
}

/** The code is known from reports; the sentence is the token endpoint's for the same mistake (AADSTS500011). */
function unknownResource(resource: string, tenantId: string, call: Call): Refusal {
  const timestamp = new Date(call.now()).toISOString().replace("T", " ").slice(0, 19);
  return badRequest(
    `AADSTS50001: The resource principal named ${resource} was not found in the tenant named ${tenantId}. ` +
      "This can happen if the application has not been installed by the administrator of the tenant or consented " +
      "to by any user in the tenant. You might have sent your authentication request to the wrong tenant. " +
      `Trace ID: ${randomUUID()} Correlation ID: ${randomUUID()} Timestamp: ${timestamp}Z`,
  );
}
