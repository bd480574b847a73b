import type { Mount, PodDelivery } from "./delivery.ts";
import { objectsParameter } from "./providerObjects.ts";
import { labelsOf, type Resource } from "./resources.ts";

/**
 * The class that tells the Secrets Store CSI driver what to mount from one vault.
 * https://learn.microsoft.com/azure/aks/csi-secrets-store-identity-access
 */
export function providerClass(delivery: PodDelivery, mount: Mount): Resource {
  const { name, namespace, clientId, tenantId, pollIntervalMs } = delivery;
  const cloud = cloudOf(mount.vault);
  const secretObjects = secretObjectsOf(delivery, mount);
  return {
    comment: [
      "What the driver mounts. It takes all of it or nothing: one secret that is missing or disabled keeps new pods waiting.",
      `New versions arrive with the driver's own poll, which must be on and ${goDuration(pollIntervalMs)} long`,
      "(there is no such setting in a class; a `syncPeriod` would do nothing). The AKS add-on:",
      `  az aks update --resource-group GROUP --name CLUSTER --enable-secret-rotation --rotation-poll-interval ${goDuration(pollIntervalMs)}`,
      "In a template, where both are texts:",
      `  addonProfiles.azureKeyvaultSecretsProvider.config: { enableSecretRotation: 'true', rotationPollInterval: '${goDuration(pollIntervalMs)}' }`,
      "The Helm chart of the provider:",
      `  --set secrets-store-csi-driver.enableSecretRotation=true --set secrets-store-csi-driver.rotationPollInterval=${goDuration(pollIntervalMs)}`,
      ...(secretObjects.length === 0
        ? []
        : ["  --set secrets-store-csi-driver.syncSecret.enabled=true   # for secretObjects"]),
    ],
    body: {
      apiVersion: "secrets-store.csi.x-k8s.io/v1",
      kind: "SecretProviderClass",
      metadata: { name: mount.name, namespace, labels: labelsOf(name) },
      spec: {
        provider: "azure",
        // A map of texts; the provider leaves out silently what it does not know.
        parameters: {
          keyvaultName: vaultName(mount.vault),
          ...(cloud === undefined ? {} : { cloudName: cloud }),
          tenantID: tenantId,
          clientID: clientId,
          objects: objectsParameter(
            mount.files.map(({ output, name: file, permission }) => ({
              objectName: output.secret,
              objectAlias: file === output.secret ? undefined : file,
              filePermission: permission,
            })),
          ),
        },
        ...(secretObjects.length === 0 ? {} : { secretObjects }),
      },
    },
  };
}

/** The driver looks an object up by the name of its file, not of its secret. */
function secretObjectsOf({ secretObjects }: PodDelivery, { files }: Mount) {
  return secretObjects.flatMap(({ name, type, data }) => {
    const mounted = data.flatMap(({ output, key }) => {
      const file = files.find((candidate) => candidate.output.secret === output);
      return file === undefined ? [] : [{ objectName: file.name, key }];
    });
    return mounted.length === 0 ? [] : [{ secretName: name, type, data: mounted }];
  });
}

/** As the driver reads it, which knows no days. */
function goDuration(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`;
}

/** `kv-example` of `https://kv-example.vault.azure.net`. */
export function vaultName(vault: string): string {
  return new URL(vault).hostname.split(".")[0] ?? "";
}

/** The name that the provider has for the cloud that a vault is in; `undefined` for the public one, its default. */
function cloudOf(vault: string): string | undefined {
  const { hostname } = new URL(vault);
  return Object.entries(clouds).find(([suffix]) => hostname.endsWith(suffix))?.[1];
}

const clouds: Readonly<Record<string, string>> = {
  ".vault.azure.cn": "AzureChinaCloud",
  ".vault.usgovcloudapi.net": "AzureUSGovernmentCloud",
};
