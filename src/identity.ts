import type { AccessToken, GetTokenOptions, TokenCredential } from "@azure/identity";
import { type Facts, RotatorError } from "./errors.ts";
import { type IdentityKind, identityError, identityProblems } from "./identity/identityErrors.ts";
import type { TokenGetter } from "./identity/tokenGetter.ts";
import { isLoopback } from "./loopback.ts";

/** The identity that the rotator runs as. */
export interface Identity {
  readonly kind: IdentityKind;
  /** For people: `the managed identity 7d22ece1-…`. */
  readonly description: string;
  /** Loads `@azure/identity`. */
  readonly credential: () => Promise<IdentityCredential>;
}

/** A credential whose errors are all {@link RotatorError}s, with the codes of `identityErrors.ts`. */
export interface IdentityCredential extends TokenCredential {
  getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken>;
  /**
   * A token that no cache of this process has answered with. It may still be one that was handed out before: the platform
   * keeps the tokens of managed identities for up to 24 hours, Microsoft's developer tools keep theirs.
   */
  getNewToken(scope: string, options?: GetTokenOptions): Promise<AccessToken>;
  /** The same for another client id. A person who is signed in cannot become one, and stays who they are. */
  withClientId(clientId: string): Promise<IdentityCredential>;
}

/** Whether it is one of ours; a program that embeds the rotator may bring any credential. */
export function isIdentityCredential(credential: TokenCredential): credential is IdentityCredential {
  return "getNewToken" in credential && "withClientId" in credential;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Decides by the variables that each platform sets: workload identity in AKS, a managed identity in Functions, App
 * Service and Container Apps, and else whoever is signed in. On a virtual machine, which sets none,
 * `AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential` asks for its managed identity, as it does everywhere in Azure's SDKs.
 *
 * @param environment As of the process. `@azure/identity` reads `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` from the real
 *   one, so those two must be equal there.
 */
export function chooseIdentity(environment: Environment): Identity {
  if (isSet(environment.AZURE_FEDERATED_TOKEN_FILE)) {
    return workload(environment);
  }
  const platform = ["IDENTITY_ENDPOINT", "WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME"];
  const isManaged =
    platform.some((name) => isSet(environment[name])) ||
    environment.AZURE_TOKEN_CREDENTIALS === "ManagedIdentityCredential";
  return isManaged ? managed(environment) : developer();
}

function managed(environment: Environment): Identity {
  const clientId = environment.AZURE_CLIENT_ID || undefined;
  const onPlatform = isSet(environment.WEBSITE_INSTANCE_ID) || isSet(environment.CONTAINER_APP_NAME);
  return {
    kind: "managed",
    description: clientId
      ? `the user-assigned managed identity ${clientId}`
      : "the system-assigned managed identity",
    credential: async () => {
      if (onPlatform && !isSet(environment.IDENTITY_ENDPOINT)) {
        // The SDK would look for a virtual machine's endpoint, and wait for it.
        throw new RotatorError(identityProblems.IdentityNotAssigned);
      }
      const { managedIdentity } = await import("./identity/managedIdentity.ts");
      return toCredential("managed", clientId, (id) => managedIdentity(id));
    },
  };
}

function workload(environment: Environment): Identity {
  const { AZURE_CLIENT_ID: clientId = "", AZURE_TENANT_ID: tenantId = "" } = environment;
  const { AZURE_FEDERATED_TOKEN_FILE: tokenFilePath = "", AZURE_AUTHORITY_HOST: authorityHost } = environment;
  return {
    kind: "workload",
    description: `the workload identity ${clientId} of the tenant ${tenantId}`,
    credential: async () => {
      if (clientId === "" || tenantId === "") {
        throw new RotatorError(identityProblems.WorkloadIdentityIncomplete);
      }
      const { workloadIdentity } = await import("./identity/workloadIdentity.ts");
      return toCredential("workload", clientId, (id = clientId) =>
        workloadIdentity({
          clientId: id,
          tenantId,
          tokenFilePath,
          ...(authorityHost === undefined
            ? {}
            : // Nobody at Microsoft knows an authority on this machine.
              { authorityHost, disableInstanceDiscovery: isLoopback(new URL(authorityHost)) }),
        }),
      );
    },
  };
}

function developer(): Identity {
  return {
    kind: "developer",
    description: "whoever is signed in on this machine (Azure CLI, Azure Developer CLI or Azure PowerShell)",
    credential: async () => {
      const { developerIdentity } = await import("./identity/developerIdentity.ts");
      return toCredential("developer", undefined, developerIdentity);
    },
  };
}

async function toCredential(
  kind: IdentityKind,
  clientId: string | undefined,
  create: (clientId: string | undefined) => TokenGetter,
): Promise<IdentityCredential> {
  const { watching } = await import("./identity/identityHttp.ts");
  const tokens = create(clientId);
  const facts: Facts = { identity: kind, ...(clientId === undefined ? {} : { clientId }) };
  const get = (work: () => Promise<AccessToken | null>) =>
    watching(
      async () => {
        const token = await work();
        if (token === null) {
          throw new RotatorError(identityProblems.IdentityAnswerMalformed, { facts });
        }
        return token;
      },
      (error, answer) => identityError(error, { kind, facts, answer }),
    );
  return {
    getToken: (scopes, options) => get(() => tokens.getToken(scopes, options)),
    getNewToken: (scope, options) => get(() => tokens.getNewToken(scope, options)),
    withClientId: (id) => toCredential(kind, kind === "developer" ? undefined : id, create),
  };
}

function isSet(text: string | undefined): boolean {
  return text !== undefined && text !== "";
}
