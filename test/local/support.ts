import type { TokenCredential } from "@azure/core-auth";
import { SecretClient, type SecretClientOptions } from "@azure/keyvault-secrets";
import type { EmbeddedAzure } from "../../src/local/azure.ts";
import type { ManagedIdentity } from "../../src/local/identityEndpoint.ts";

/** The first identity that the embedded app carries. */
export function firstIdentity(azure: EmbeddedAzure): ManagedIdentity {
  const [identity] = azure.identity.identities;
  if (identity === undefined) {
    throw new Error("The embedded app carries no identity.");
  }
  return identity;
}

/** Tokens straight from the embedded issuer, so that a test of the vault is not one of MSAL and its cache. */
export function credential(azure: EmbeddedAzure, identity = firstIdentity(azure)): TokenCredential {
  return {
    getToken: async (scopes) => {
      const scope = typeof scopes === "string" ? scopes : (scopes[0] ?? "");
      const resource = scope.replace(/\/\.default$/, "");
      const token = await azure.issuer.issue(identity, resource, 3600, azure.clock.now());
      return { token: token.value.reveal(), expiresOnTimestamp: token.expiresOn * 1000 };
    },
  };
}

/** The real client, without retries unless a test is about them. */
export function secretClient(
  azure: EmbeddedAzure,
  options: SecretClientOptions & { url?: string; identity?: ManagedIdentity } = {},
): SecretClient {
  const { url = azure.vault.url, identity = firstIdentity(azure), ...rest } = options;
  return new SecretClient(url, credential(azure, identity), {
    // Off for loopback vaults only: the challenge names vault.azure.net.
    disableChallengeResourceVerification: true,
    retryOptions: { maxRetries: 0 },
    ...rest,
  });
}
