import type { PodDelivery } from "./delivery.ts";
import { type ReadableFile, type ReaderSettings, readerSettings, variableName } from "./readers.ts";
import {
  labelsOf,
  type Resource,
  restrictedContainer,
  restrictedPod,
  workloadIdentityLabel,
} from "./resources.ts";

/** An example of a Deployment that reads the files of the driver's mount, and what its reader needs besides. */
export interface ExamplePod {
  readonly resources: readonly Resource[];
  readonly warnings: readonly string[];
}

export function examplePod(delivery: PodDelivery): ExamplePod {
  const { name, namespace, serviceAccount, mounts, secretObjects } = delivery;
  const settings = readerSettings(mounts.flatMap(readableFiles));
  const needsRoot = mounts.some(({ files }) => files.some(({ permission }) => isForOwnerOnly(permission)));
  const comment = [
    "An example of a pod that reads the files. A volume that is mounted as a whole is kept up to date; with subPath it never is.",
    ...settings.notes,
    ...(needsRoot ? rootNotes : []),
    ...(secretObjects.length === 0 ? [] : variableNotes),
  ];
  const deployment = deploymentOf(name, namespace, {
    annotations:
      secretObjects.length === 0
        ? {}
        : { "secret.reloader.stakater.com/reload": secretObjects.map((secret) => secret.name).join(",") },
    spec: {
      serviceAccountName: serviceAccount,
      securityContext: needsRoot ? { seccompProfile: restrictedPod.seccompProfile } : restrictedPod,
      containers: [
        {
          name: "app",
          image: "example.org/app:1",
          env: [...environmentOf(settings), ...secretVariables(delivery)],
          volumeMounts: [
            ...mounts.map((mount) => ({ name: mount.name, mountPath: mount.path, readOnly: true })),
            ...configurationMounts(settings),
          ],
          securityContext: needsRoot ? { ...restrictedContainer, runAsUser: 0 } : restrictedContainer,
        },
      ],
      volumes: [
        ...mounts.map((mount) => ({
          name: mount.name,
          csi: {
            driver: "secrets-store.csi.k8s.io",
            readOnly: true,
            volumeAttributes: { secretProviderClass: mount.name },
          },
        })),
        ...configurationVolumes(name, settings),
      ],
    },
  });
  return {
    resources: [...configurationMap(name, namespace, settings), { comment, body: deployment }],
    warnings: settings.warnings,
  };
}

function readableFiles({ path, files }: PodDelivery["mounts"][number]): ReadableFile[] {
  return files.map(({ output, name }) => ({ output, directory: path, name }));
}

/** The driver writes as root and has no other owner to give; `fsGroup` does not reach its files. */
function isForOwnerOnly(permission: string | undefined): boolean {
  return permission !== undefined && (Number.parseInt(permission, 8) & 0o004) === 0;
}

const rootNotes = [
  "The driver's files belong to root, whatever securityContext.fsGroup says, so a mode that shuts others out (0600, as libpq",
  "wants its password file) shuts out every user but root. For a container that runs as another user take `manifests --sidecar`:",
  "its files belong to that user.",
];

const variableNotes = [
  "Variables are those of the moment when the pod began. The annotation lets Reloader (github.com/stakater/Reloader) replace the",
  "pods when the Kubernetes secret changes; without it they keep the old value. The secret exists while a pod mounts the class.",
];

function secretVariables({ secretObjects }: PodDelivery) {
  return secretObjects.flatMap((secret) =>
    secret.data.map(({ key }) => ({
      name: variableName(key),
      valueFrom: { secretKeyRef: { name: secret.name, key } },
    })),
  );
}

/** A Deployment with one replica. */
export function deploymentOf(
  name: string,
  namespace: string,
  { annotations, spec }: { readonly annotations: Readonly<Record<string, string>>; readonly spec: object },
) {
  const labels = labelsOf(name);
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name,
      namespace,
      labels,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: {
      replicas: 1,
      selector: { matchLabels: { "app.kubernetes.io/name": name } },
      template: { metadata: { labels: { ...labels, ...workloadIdentityLabel } }, spec },
    },
  };
}

export function environmentOf({ environment }: ReaderSettings): { name: string; value: string }[] {
  return Object.entries(environment).map(([name, value]) => ({ name, value }));
}

/** The reader's own configuration, where it has any. */
export function configurationMap(
  name: string,
  namespace: string,
  { configuration }: ReaderSettings,
): Resource[] {
  return configuration === undefined
    ? []
    : [
        {
          body: {
            apiVersion: "v1",
            kind: "ConfigMap",
            metadata: { name: configurationName(name), namespace, labels: labelsOf(name) },
            data: configuration.files,
          },
        },
      ];
}

export function configurationMounts({ configuration }: ReaderSettings) {
  return configuration === undefined
    ? []
    : [{ name: "configuration", mountPath: configuration.directory, readOnly: true }];
}

export function configurationVolumes(name: string, { configuration }: ReaderSettings) {
  return configuration === undefined
    ? []
    : [{ name: "configuration", configMap: { name: configurationName(name) } }];
}

function configurationName(name: string): string {
  return `${name}-configuration`;
}
