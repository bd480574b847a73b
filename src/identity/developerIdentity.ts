import {
  AzureCliCredential,
  AzureDeveloperCliCredential,
  AzurePowerShellCredential,
  ChainedTokenCredential,
} from "@azure/identity";
import type { TokenGetter } from "./tokenGetter.ts";

/** Whoever is signed in on this machine with one of Microsoft's tools, the first that is. */
export function developerIdentity(): TokenGetter {
  const options = { additionallyAllowedTenants: ["*"], processTimeoutInMs: 15_000 };
  const credential = new ChainedTokenCredential(
    new AzureCliCredential(options),
    new AzureDeveloperCliCredential(options),
    new AzurePowerShellCredential(options),
  );
  return {
    getToken: (scopes, more) => credential.getToken(scopes, more),
    // The tools keep caches of their own, which nobody can pass.
    getNewToken: (scope, more) => credential.getToken(scope, more),
  };
}
