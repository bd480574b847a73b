import { type AccessToken, ManagedIdentityCredential } from "@azure/identity";
import { ManagedIdentityApplication } from "@azure/msal-node";
import { identityHttpClient } from "./identityHttp.ts";
import type { TokenGetter } from "./tokenGetter.ts";

/**
 * A managed identity of the app: the one with that client id, or the system-assigned one.
 *
 * MSAL keeps one cache of managed identity tokens for the process and hands a token out until five minutes before it
 * expires, and `@azure/identity` has no option to pass it. MSAL itself has one, `forceRefresh`, so that is called
 * directly. It works on the same static state, which the credential has set up by then (environment, HTTP client), and
 * what it fetches is what the credential hands out from then on. The platform's own cache behind it, of up to 24 hours,
 * cannot be passed by anybody.
 */
export function managedIdentity(clientId: string | undefined): TokenGetter {
  const credential = new ManagedIdentityCredential({
    ...(clientId === undefined ? {} : { clientId }),
    httpClient: identityHttpClient,
    retryOptions: { maxRetries: 0 },
  });
  const application = new ManagedIdentityApplication({
    ...(clientId === undefined ? {} : { managedIdentityIdParams: { userAssignedClientId: clientId } }),
    system: { disableInternalRetries: true },
  });
  return {
    getToken: (scopes, options) => credential.getToken(scopes, options),
    getNewToken: async (scope, options) => {
      await credential.getToken(scope, options);
      const result = await application.acquireToken({
        resource: scope.replace(/\/\.default$/, ""),
        forceRefresh: true,
      });
      return toAccessToken(result);
    },
  };
}

function toAccessToken(result: {
  readonly accessToken: string;
  readonly expiresOn: Date | null;
  readonly refreshOn?: Date;
}): AccessToken | null {
  return result.expiresOn === null
    ? null
    : { token: result.accessToken, expiresOnTimestamp: result.expiresOn.getTime() };
}
