import { randomBytes, randomUUID } from "node:crypto";
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  errors,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTVerifyGetKey,
  jwtVerify,
  SignJWT,
} from "jose";
import { SecretValue } from "../secretValue.ts";
import { type Caller, type EmbeddedHost, Refusal } from "./service.ts";

/** Something that tokens are issued to: a managed identity, an application. */
export interface Principal {
  /** Object id of the service principal: the claims `oid` and `sub`. */
  readonly objectId: string;
  /** The claim `appid` (version 1) or `azp` (version 2). */
  readonly clientId: string;
  /** ARM id of the managed identity, or of the resource that carries it: the claim `xms_mirid`. */
  readonly resourceId?: string;
}

/** An application that tokens are issued for, as it is registered in the tenant. */
export interface Resource {
  /** App ID URI: what comes before `/.default` in a scope. A trailing slash makes no difference. */
  readonly identifier: string;
  /** Client id of the application; the audience of version 2 tokens. Default a new one. */
  readonly appId?: string;
  /** `requestedAccessTokenVersion` of the registration, which decides the shape of the token. Default 1. */
  readonly accessTokenVersion?: 1 | 2;
  /** App roles by the object id of the principal that they are assigned to. */
  readonly roles?: Readonly<Record<string, readonly string[]>>;
}

export interface IssuedToken {
  readonly value: SecretValue;
  /** Unix seconds. */
  readonly notBefore: number;
  /** Unix seconds. */
  readonly expiresOn: number;
}

/** Why a bearer token was not accepted. */
export type TokenRefusal = "malformed" | "signature" | "issuer" | "audience" | "expired" | "notYetValid";

/** Thrown by {@link Issuer.verify}. Each service answers it in its own way. */
export class TokenRefused extends Error {
  readonly reason: TokenRefusal;

  constructor(reason: TokenRefusal) {
    super(`The bearer token was refused: ${reason}.`);
    this.reason = reason;
  }
}

/** The tenant: registers resources, signs tokens in the shapes of Entra ID, publishes its keys, verifies bearers. */
export interface Issuer {
  /** The authority host, without a trailing slash. */
  readonly url: string;
  readonly tenantId: string;
  /** What its tokens are verified with, for services that do so themselves. */
  readonly keys: JWTVerifyGetKey;
  /** Adds an application or replaces the one of that identifier. */
  register(resource: Resource): void;
  /** `undefined`: the tenant does not know it. */
  find(identifier: string): Resource | undefined;
  /**
   * Signs an app-only token for a registered resource.
   * @param now Milliseconds since the epoch by the clock of whoever asks.
   */
  issue(principal: Principal, identifier: string, lifetimeSeconds: number, now: number): Promise<IssuedToken>;
  /**
   * Checks signature, issuer, audience and lifetime, with no leeway.
   * @param now Milliseconds since the epoch by the clock of the service that was called.
   * @throws TokenRefused
   */
  verify(token: string, audiences: readonly string[], now: number): Promise<Caller>;
}

/** The resources of Azure that every tenant knows, with the ids they have everywhere. */
const builtIn: readonly Resource[] = [
  { identifier: "https://vault.azure.net", appId: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093" },
  { identifier: "https://management.azure.com", appId: "797f4846-ba00-4fd7-ba43-dac1f8f63013" },
  { identifier: "https://storage.azure.com", appId: "e406a681-f3d4-42a8-90b6-c2b029497af1" },
  { identifier: "https://ossrdbms-aad.database.windows.net", appId: "123cd850-d9df-40bd-94d5-c9f07b7fa203" },
  { identifier: "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d", appId: "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d" },
  { identifier: "https://database.windows.net" },
  { identifier: "https://redis.azure.com" },
  { identifier: "https://monitor.azure.com" },
];

/** Entra dates tokens back by five minutes, against clocks that are behind. */
const backdatedSeconds = 300;

/** For {@link startIssuer}; made ahead, because it takes longer than anything else. */
export function generateSigningKey() {
  return generateKeyPair("RS256");
}

export async function startIssuer(
  host: EmbeddedHost,
  options: {
    tenantId: string;
    resources?: readonly Resource[];
    signingKey: ReturnType<typeof generateSigningKey>;
  },
): Promise<Issuer> {
  const { tenantId } = options;
  const { publicKey, privateKey } = await options.signingKey;
  const publicJwk = await exportJWK(publicKey);
  const keyId = await calculateJwkThumbprint(publicJwk);
  const jwk: JWK = { ...publicJwk, use: "sig", alg: "RS256", kid: keyId };
  const resources = new Map<string, Resource & { readonly appId: string }>();

  const url = await host.serve({
    name: "issuer",
    routes: [
      {
        operation: "discovery",
        method: "GET",
        path: "/:tenant/v2.0/.well-known/openid-configuration",
        handle: (call) => ({ status: 200, body: metadata(tenant(call.params), 2) }),
      },
      {
        operation: "discovery",
        method: "GET",
        path: "/:tenant/.well-known/openid-configuration",
        handle: (call) => ({ status: 200, body: metadata(tenant(call.params), 1) }),
      },
      ...["/:tenant/discovery/v2.0/keys", "/:tenant/discovery/keys"].map((path) => ({
        operation: "keys",
        method: "GET" as const,
        path,
        handle: () => ({ status: 200, body: { keys: [jwk] } }),
      })),
    ],
  });

  const issuers = { 1: `${url}/${tenantId}/`, 2: `${url}/${tenantId}/v2.0` };

  const issuer: Issuer = {
    url,
    tenantId,
    keys: createLocalJWKSet({ keys: [jwk] }),
    register: (resource) =>
      void resources.set(canonical(resource.identifier), { appId: randomUUID(), ...resource }),
    find: (identifier) => resources.get(canonical(identifier)),
    issue: async (principal, identifier, lifetimeSeconds, now) => {
      const resource = resources.get(canonical(identifier));
      if (resource === undefined) {
        throw new RangeError(`No resource "${identifier}" is registered.`);
      }
      const seconds = Math.floor(now / 1000);
      const notBefore = seconds - backdatedSeconds;
      const expiresOn = seconds + lifetimeSeconds;
      const version = resource.accessTokenVersion ?? 1;
      const roles = resource.roles?.[principal.objectId];
      const token = await new SignJWT({
        // Version 1 echoes the identifier as it was asked for; version 2 names the application.
        aud: version === 1 ? identifier : resource.appId,
        iss: issuers[version],
        iat: notBefore,
        nbf: notBefore,
        exp: expiresOn,
        ...(version === 1
          ? { appid: principal.clientId, appidacr: "2", idp: issuers[1] }
          : { azp: principal.clientId, azpacr: "2" }),
        idtyp: "app",
        oid: principal.objectId,
        ...(roles === undefined ? {} : { roles }),
        sub: principal.objectId,
        tid: tenantId,
        // Differs in every token.
        uti: randomBytes(16).toString("base64url"),
        ver: `${version}.0`,
        ...(principal.resourceId === undefined ? {} : { xms_mirid: principal.resourceId }),
      })
        .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: keyId })
        .sign(privateKey);
      return { value: new SecretValue(token), notBefore, expiresOn };
    },
    verify: async (token, audiences, now) => {
      try {
        const { payload } = await jwtVerify(token, publicKey, {
          algorithms: ["RS256"],
          issuer: Object.values(issuers),
          audience: [...audiences],
          currentDate: new Date(now),
          requiredClaims: ["exp", "nbf", "oid"],
        });
        return {
          objectId: String(payload.oid),
          clientId: String(payload.appid ?? payload.azp),
          issuer: String(payload.iss),
        };
      } catch (error) {
        throw new TokenRefused(refusalOf(error));
      }
    },
  };
  for (const resource of [...builtIn, ...(options.resources ?? [])]) {
    issuer.register(resource);
  }
  return issuer;

  function tenant(params: Readonly<Record<string, string>>): string {
    const name = params.tenant ?? "";
    if (name !== tenantId && name !== "common" && name !== "organizations") {
      throw new Refusal({
        status: 400,
        body: {
          error: "invalid_tenant",
          error_description: `AADSTS90002: Tenant '${name}' not found. Check to make sure you have the correct tenant ID.`,
          error_codes: [90002],
        },
      });
    }
    return name;
  }

  function metadata(name: string, version: 1 | 2) {
    const part = version === 1 ? "" : "/v2.0";
    return {
      issuer: issuers[version],
      authorization_endpoint: `${url}/${name}/oauth2${part}/authorize`,
      token_endpoint: `${url}/${name}/oauth2${part}/token`,
      jwks_uri: `${url}/${name}/discovery${part}/keys`,
      response_types_supported: ["code", "id_token", "code id_token", "id_token token"],
      subject_types_supported: ["pairwise"],
      id_token_signing_alg_values_supported: ["RS256"],
    };
  }
}

function canonical(identifier: string): string {
  return identifier.replace(/\/+$/, "").toLowerCase();
}

function refusalOf(error: unknown): TokenRefusal {
  if (error instanceof errors.JWTExpired) {
    return "expired";
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const byClaim: Readonly<Record<string, TokenRefusal>> = {
      aud: "audience",
      iss: "issuer",
      nbf: "notYetValid",
    };
    return byClaim[error.claim] ?? "malformed";
  }
  return error instanceof errors.JWSSignatureVerificationFailed ? "signature" : "malformed";
}
