import type { TokenCredential } from "@azure/identity";
import { retry } from "../core/retry.ts";
import { identityError } from "../identity/identityErrors.ts";
import type { Clock } from "../ports.ts";
import type { SecretClient } from "./secretClient.ts";
import {
  createVaultTransport,
  publishedLimits,
  type VaultLimits,
  type VaultTransport,
} from "./vaultTransport.ts";

export interface VaultConnectionOptions {
  /** Called on first use, and again only after it failed. */
  readonly credential: () => Promise<TokenCredential>;
  readonly clock: Clock;
  /** Default Key Vault's published limits, 16 calls at once and 10 seconds for each. */
  readonly limits?: Partial<VaultLimits>;
  /** Told of every 429. */
  readonly onThrottled?: () => void;
}

export interface VaultConnection {
  /** To be used inside of `transport.within`. */
  readonly client: SecretClient;
  readonly transport: VaultTransport;
}

/** Loads the SDK and makes the client of one vault. Nothing is sent yet. */
export async function connectToVault(
  vault: string,
  { credential, clock, limits, onThrottled = () => {} }: VaultConnectionOptions,
): Promise<VaultConnection> {
  const [{ createSecretClient, defaultHttpClient }, own] = await Promise.all([
    import("./secretClient.ts"),
    credential(),
  ]);
  const transport = createVaultTransport({
    send: defaultHttpClient(),
    clock,
    limits: { ...publishedLimits, ...limits },
    onThrottled,
  });
  // The client asks for its own token in the middle of a call, where nobody else would retry.
  const retried: TokenCredential = {
    getToken: (...request) =>
      retry(
        async () => {
          try {
            return await own.getToken(...request);
          } catch (error) {
            throw identityError(error);
          }
        },
        { clock, context: transport.context() },
      ),
  };
  return { client: createSecretClient(vault, retried, transport.httpClient), transport };
}
