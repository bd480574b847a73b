import type { KubernetesDelivery, OutputConfiguration, ReadyRotation } from "../../config/configuration.ts";
import { resourceName } from "./resources.ts";

/** A rotation as pods see it: what is in which file, where it is mounted, and as whom. */
export interface PodDelivery {
  /** Of the rotation. */
  readonly rotation: string;
  /** Of what is generated for it. */
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly clientId: string;
  readonly tenantId: string;
  readonly pollIntervalMs: number;
  /** One for every vault: a class names one. Never empty. */
  readonly mounts: readonly Mount[];
  readonly secretObjects: KubernetesDelivery["secretObjects"];
}

export interface Mount {
  /** Of the SecretProviderClass and the volume. */
  readonly name: string;
  readonly vault: string;
  readonly path: string;
  readonly files: readonly MountFile[];
}

export interface MountFile {
  readonly output: OutputConfiguration;
  /** Within the mount. */
  readonly name: string;
  /** Octal, where it is not the driver's 0644. */
  readonly permission?: string;
}

export const placeholders = {
  clientId: "REPLACE-WITH-CLIENT-ID",
  tenantId: "REPLACE-WITH-TENANT-ID",
} as const;

/** With defaults for whatever the configuration leaves open. */
export function podDeliveryOf(
  rotation: ReadyRotation & { readonly kubernetes: KubernetesDelivery },
  environment: Readonly<Record<string, string | undefined>>,
): PodDelivery {
  const { kubernetes } = rotation;
  const name = resourceName(rotation.name);
  const path = kubernetes.mountPath ?? `/mnt/secrets/${name}`;
  return {
    rotation: rotation.name,
    name,
    namespace: kubernetes.namespace ?? "default",
    serviceAccount: kubernetes.serviceAccount ?? name,
    clientId: kubernetes.clientId ?? placeholders.clientId,
    tenantId: kubernetes.tenantId ?? (environment.AZURE_TENANT_ID || placeholders.tenantId),
    pollIntervalMs: kubernetes.pollIntervalMs,
    mounts: mountsOf(rotation, kubernetes, name, path),
    secretObjects: kubernetes.secretObjects,
  };
}

function mountsOf(
  { outputs }: ReadyRotation,
  { objects }: KubernetesDelivery,
  name: string,
  path: string,
): readonly Mount[] {
  const files = objects.flatMap(({ output: secret, alias, filePermission }) => {
    const output = outputs.find((candidate) => candidate.secret === secret);
    return output === undefined ? [] : [toFile(output, alias ?? secret, filePermission)];
  });
  const vaults = [...new Set(files.map(({ output }) => output.vault))];
  return vaults.map((vault, index) => ({
    name: index === 0 ? name : `${name}-${index + 1}`,
    vault,
    path: index === 0 ? path : `${path}-${index + 1}`,
    files: files.filter(({ output }) => output.vault === vault),
  }));
}

/** libpq ignores a password file that others may read, and the driver's default lets them. */
function toFile(output: OutputConfiguration, name: string, permission: string | undefined): MountFile {
  const own = permission ?? (output.options.format === "pgpass" ? "0600" : undefined);
  return { output, name, ...(own === undefined ? {} : { permission: own }) };
}
