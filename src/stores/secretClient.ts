import { createDefaultHttpClient, type HttpClient } from "@azure/core-rest-pipeline";
import type { TokenCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { isLoopback } from "../loopback.ts";

/*
 * Loaded on first use, in one piece: what is imported by name from here is all of the SDK that a bundle has to hold.
 */

export type { SecretClient };

/** The HTTP client that the SDK would use by itself: connections are kept open, proxies of the environment are used. */
export function defaultHttpClient(): HttpClient {
  return createDefaultHttpClient();
}

export function createSecretClient(
  vault: string,
  credential: TokenCredential,
  httpClient: HttpClient,
): SecretClient {
  return new SecretClient(vault, credential, {
    httpClient,
    // The SDK would send a write again whose answer was lost, and make a second version.
    retryOptions: { maxRetries: 0 },
    // An embedded vault is not under vault.azure.net; for any other a token must not go to whoever asks for it.
    disableChallengeResourceVerification: isLoopback(new URL(vault)),
  });
}
