import type { AccessToken, GetTokenOptions } from "@azure/identity";

/** What each kind of identity can do; the errors are still the SDK's. */
export interface TokenGetter {
  /** From the caches of this process where they hold one. */
  getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken | null>;
  /** Past the caches of this process, where that can be done. */
  getNewToken(scope: string, options?: GetTokenOptions): Promise<AccessToken | null>;
}
