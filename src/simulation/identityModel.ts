import type { AccessToken } from "@azure/identity";
import { identityError } from "../identity/identityErrors.ts";
import type { IdentityCredential } from "../identity.ts";
import { type Instance, NoAnswer } from "./instance.ts";
import type { IssuedToken } from "./tokens.ts";
import type { World } from "./world.ts";

/** The scope that a token for Key Vault itself is asked for. */
export const vaultScope = "https://vault.azure.net/.default";
export const identityTarget = "identity";

/** How long a managed identity's tokens live: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq */
const usualLifetimeMs = 24 * 60 * 60_000;

/**
 * The platform's side of managed identities. It keeps a token per resource and hands the same one out for hours; nobody
 * outside can make it fetch another.
 */
export class IdentityPlatform {
  /** How long the next token of a scope lives, and after what share of that the platform fetches another. */
  policy: (scope: string) => { readonly lifetimeMs: number; readonly keptShare: number } = () => ({
    lifetimeMs: usualLifetimeMs,
    keptShare: 0.5,
  });
  readonly #world: World;
  readonly #kept = new Map<string, { readonly token: IssuedToken; readonly until: number }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The token that it keeps for a scope, if any. */
  kept(scope: string, subject: string): IssuedToken | undefined {
    return this.#kept.get(`${subject} ${scope}`)?.token;
  }

  /** What it answers now. */
  token(scope: string, subject: string): IssuedToken {
    const now = this.#world.clock.now();
    const key = `${subject} ${scope}`;
    const kept = this.#kept.get(key);
    const stuck = this.#world.faults.isStuck("identity", identityTarget, now);
    if (kept !== undefined && (stuck || now < kept.until)) {
      return kept.token;
    }
    const { lifetimeMs, keptShare } = this.policy(scope);
    const token = this.#world.tokens.issue(subject, now, lifetimeMs, { aud: scope, tid: "tenant" });
    this.#kept.set(key, { token, until: now + lifetimeMs * keptShare });
    return token;
  }
}

interface Cached {
  readonly token: IssuedToken;
  /** Past half of a life of more than two hours, the library fetches the next one. */
  readonly refreshAt: number | undefined;
}

const servedUntilMs = 5 * 60_000;
const longLifeMs = 2 * 60 * 60_000;

/**
 * The library's side, in one process: MSAL hands a token out until five minutes before it expires, and past half of its
 * life it fetches the next one and answers once more with the old one.
 */
export function credentialOf(world: World, instance: Instance, subject: string): IdentityCredential {
  const cache = new Map<string, Cached>();
  const fetchToken = async (scope: string): Promise<Cached> => {
    const call = {
      service: "identity",
      operation: "getToken",
      target: identityTarget,
      about: scope,
    } as const;
    try {
      const token = await instance.call(call, () => world.identity.token(scope, subject));
      const lifeMs = token.expiresAt - instance.clock.now();
      const fresh = { token, refreshAt: lifeMs > longLifeMs ? instance.clock.now() + lifeMs / 2 : undefined };
      cache.set(scope, fresh);
      return fresh;
    } catch (error) {
      throw mapped(error);
    }
  };
  return {
    getToken: async (scopes) => {
      const scope = [scopes].flat().join(" ");
      const known = cache.get(scope);
      const now = instance.clock.now();
      if (known === undefined || known.token.expiresAt - servedUntilMs <= now) {
        return accessToken(await fetchToken(scope));
      }
      if (known.refreshAt !== undefined && known.refreshAt < now) {
        await fetchToken(scope);
      }
      return accessToken(known);
    },
    getNewToken: async (scope) => accessToken(await fetchToken(scope)),
    withClientId: async (clientId) => credentialOf(world, instance, clientId),
  };
}

function accessToken({ token, refreshAt }: Cached): AccessToken {
  return {
    token: token.value.reveal(),
    expiresOnTimestamp: token.expiresAt,
    ...(refreshAt === undefined ? {} : { refreshAfterTimestamp: refreshAt }),
    tokenType: "Bearer",
  };
}

function mapped(error: unknown): Error {
  if (!(error instanceof NoAnswer)) {
    return error as Error;
  }
  const { status, retryAfterSeconds, code } = error;
  const headers = {
    get: (name: string) =>
      name === "retry-after" && retryAfterSeconds !== undefined ? String(retryAfterSeconds) : undefined,
  };
  const answer = status === undefined ? { errorCode: code ?? "" } : { status, headers, body: "" };
  return identityError(error, { kind: "managed", answer });
}
