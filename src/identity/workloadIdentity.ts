import { WorkloadIdentityCredential, type WorkloadIdentityCredentialOptions } from "@azure/identity";
import { identityHttpClient } from "./identityHttp.ts";
import type { TokenGetter } from "./tokenGetter.ts";

/** A pod's identity in AKS: its service account's token is exchanged at Entra ID. */
export function workloadIdentity(
  options: Pick<
    WorkloadIdentityCredentialOptions,
    "clientId" | "tenantId" | "tokenFilePath" | "authorityHost" | "disableInstanceDiscovery"
  >,
): TokenGetter {
  const create = () =>
    new WorkloadIdentityCredential({
      ...options,
      // The vault, or a source, may live in another tenant than the identity.
      additionallyAllowedTenants: ["*"],
      httpClient: identityHttpClient,
      retryOptions: { maxRetries: 0 },
    });
  let credential = create();
  return {
    getToken: (scopes, more) => credential.getToken(scopes, more),
    getNewToken: (scope, more) => {
      // The cache belongs to the credential and hands a token out until five minutes before it expires.
      credential = create();
      return credential.getToken(scope, more);
    },
  };
}
