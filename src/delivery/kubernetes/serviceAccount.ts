import { placeholders } from "./delivery.ts";
import { labelsOf, type Resource } from "./resources.ts";

export interface ServiceAccountOptions {
  readonly name: string;
  /** Left to `kubectl --namespace` where absent. */
  readonly namespace?: string;
  readonly clientId: string;
  readonly tenantId: string;
  /** What the identity must be allowed to do, in a sentence. */
  readonly needs: string;
}

/**
 * A service account that a managed identity trusts.
 * https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
 */
export function serviceAccount(options: ServiceAccountOptions): Resource {
  const { name, namespace, clientId, tenantId, needs } = options;
  const known = tenantId === placeholders.tenantId ? {} : { "azure.workload.identity/tenant-id": tenantId };
  return {
    comment: [
      needs,
      "It trusts this service account once its identity has this federated credential (infra/examples/aks-pods.bicep does both):",
      ...federatedCredentialCommand(name, namespace ?? "NAMESPACE").map((line) => `  ${line}`),
    ],
    body: {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        labels: { ...labelsOf(name), "azure.workload.identity/use": "true" },
        annotations: { "azure.workload.identity/client-id": clientId, ...known },
      },
    },
  };
}

/** https://learn.microsoft.com/azure/aks/workload-identity-deploy-cluster */
function federatedCredentialCommand(name: string, namespace: string): readonly string[] {
  return [
    `az identity federated-credential create --resource-group GROUP --identity-name IDENTITY --name ${namespace}-${name} \\`,
    '  --issuer "$(az aks show --resource-group GROUP --name CLUSTER --query oidcIssuerProfile.issuerUrl --output tsv)" \\',
    `  --subject system:serviceaccount:${namespace}:${name} --audiences api://AzureADTokenExchange`,
  ];
}
