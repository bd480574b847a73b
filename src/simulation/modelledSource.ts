import { generateKeyPairSync } from "node:crypto";
import type { ReadyRotation, SourceConfiguration } from "../config/configuration.ts";
import { registries } from "../config/registries.ts";
import { pluginOf } from "../config/resolve.ts";
import { RotatorError } from "../errors.ts";
import { oauthProblems } from "../oauth/problems.ts";
import type { SecretReferenceOption, SourceSecrets } from "../plugins.ts";
import type { MintContext, Token, TokenSource } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import type { Call } from "./faults.ts";
import { identityTarget } from "./identityModel.ts";
import { type Instance, NoAnswer } from "./instance.ts";
import type { World } from "./world.ts";

/**
 * A source of any kind that nobody but its provider knows from the inside: it gives tokens that live as long as the
 * configuration says, of the claims that the configuration expects. A refresh token that it keeps is replaced each time.
 */
export function modelledSource(
  world: World,
  instance: Instance,
  rotation: ReadyRotation,
  source: SourceConfiguration,
  secrets: SourceSecrets,
): TokenSource {
  const call = callOf(source);
  const refreshToken = keptRefreshToken(source);
  return {
    mint: async (context: MintContext): Promise<Token> => {
      const issued = await instance
        .call(call, () =>
          world.tokens.issue(
            rotation.expect?.subject ?? subjectOf(source),
            world.clock.now(),
            source.lifetimeMs,
            claimsOf(rotation),
          ),
        )
        .catch(mapped);
      const companion = new SecretValue(`refresh-token-${issued.expiresAt}-${source.key}`);
      if (refreshToken !== undefined) {
        await secrets.keep(refreshToken, { value: companion, contentType: "text/plain" }, context);
      }
      return {
        value: issued.value,
        expiresOn: new Date(issued.expiresAt),
        issuedOn: new Date(issued.issuedAt + instance.skewMs),
        companions: {
          refreshToken: companion,
          get privateKey() {
            return privateKey();
          },
        },
        attributes: { fingerprint: "00:11", scope: "simulated", region: "eu-frankfurt-1", tenancy: "ocid1" },
      };
    },
  };
}

/** The service that the source asks: the identity's own endpoint, or somebody's on the internet. */
function callOf({ kind, key }: SourceConfiguration): Call {
  return kind === "entra"
    ? { service: "identity", operation: "getToken", target: identityTarget, about: key }
    : { service: "provider", operation: "mint", target: kind, about: key };
}

function subjectOf({ kind }: SourceConfiguration): string {
  return `subject of ${kind}`;
}

function claimsOf({ expect = {} }: ReadyRotation): Record<string, unknown> {
  const { issuer, audience, tenant, roles, version } = expect;
  return { iss: issuer, aud: audience?.[0], tid: tenant, roles, ver: version };
}

function keptRefreshToken({ kind, options }: SourceConfiguration): SecretReferenceOption | undefined {
  const kept = pluginOf(registries.sources, kind).secrets(options);
  return kept.find(({ path, access }) => access === "keep" && path.at(-1) === "refreshToken")?.reference;
}

function mapped(error: unknown): never {
  if (!(error instanceof NoAnswer)) {
    throw error;
  }
  const { status, retryAfterSeconds } = error;
  const problem =
    status === undefined
      ? oauthProblems.EndpointUnreachable
      : status === 429
        ? oauthProblems.ProviderThrottled
        : oauthProblems.ProviderUnavailable;
  throw new RotatorError(problem, {
    cause: error,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterMs: retryAfterSeconds * 1000 }),
  });
}

/** For formats that lay out a key; it belongs to nobody. Made once, because that takes a while. */
function privateKey(): SecretValue {
  key ??= new SecretValue(
    generateKeyPairSync("rsa", { modulusLength: 2048 })
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString(),
  );
  return key;
}

let key: SecretValue | undefined;
