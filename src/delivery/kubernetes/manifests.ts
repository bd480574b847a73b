import { Document } from "yaml";
import type { Configuration, KubernetesDelivery, ReadyRotation } from "../../config/configuration.ts";
import { asRotatorError, problems, RotatorError } from "../../errors.ts";
import { rotationsNamed } from "../../rotationsNamed.ts";
import { type PodDelivery, placeholders, podDeliveryOf } from "./delivery.ts";
import { examplePod } from "./pod.ts";
import { providerClass } from "./providerClass.ts";
import type { Resource } from "./resources.ts";
import {
  rotatorConfiguration,
  rotatorCronJob,
  rotatorServiceAccountName,
  sidecarPod,
} from "./rotatorPods.ts";
import { serviceAccount } from "./serviceAccount.ts";

const manifestProblems = problems({
  NothingForKubernetes: {
    message: "None of these rotations is for Kubernetes.",
    remedy: "Add `kubernetes` to a rotation in the configuration; `{}` takes every default.",
    retryable: false,
  },
});

/** One file of manifests. */
export interface Manifest {
  /** `oracle-adb.yaml` */
  readonly file: string;
  /** Absent for what is not for one rotation. */
  readonly rotation?: string;
  readonly resources: readonly Resource[];
  readonly warnings: readonly string[];
}

export interface ManifestOptions {
  readonly names: readonly string[];
  /** Tenant, where the configuration names none. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Pods that pull, in place of the driver's classes. */
  readonly sidecar: boolean;
  /** The rotator as a CronJob; of the pods, only with `sidecar`. */
  readonly cronJob: boolean;
  readonly image: string;
  /** The text of rotations.json. */
  readonly document: string;
  /** What is wrong with the secrets of a rotation in their vaults, in sentences. */
  readonly complaints: ReadonlyMap<string, readonly string[]>;
}

export type KubernetesRotation = ReadyRotation & { readonly kubernetes: KubernetesDelivery };

/**
 * The rotations of these names, or all, that pods read.
 * @throws RotatorError `RotationUnknown`, `NothingForKubernetes`
 */
export function kubernetesRotations(
  { rotations }: Configuration,
  names: readonly string[],
): readonly KubernetesRotation[] {
  const found = rotationsNamed(rotations, names).filter(
    (rotation): rotation is KubernetesRotation =>
      rotation.state === "ready" && rotation.kubernetes !== undefined,
  );
  if (found.length === 0) {
    const facts = names.length === 0 ? {} : { rotations: names.join(", ") };
    throw asRotatorError(new RotatorError(manifestProblems.NothingForKubernetes, { facts }), "configure");
  }
  return found;
}

/** All manifests. Nothing is read or written here. */
export function manifests(configuration: Configuration, options: ManifestOptions): Manifest[] {
  const cronJob = options.cronJob ? [cronJobManifest(configuration, options)] : [];
  if (options.cronJob && !options.sidecar) {
    return cronJob;
  }
  const written: Written = { accounts: new Map(), namespaces: new Set() };
  const pods = kubernetesRotations(configuration, options.names).map((rotation) =>
    podManifest(rotation, podDeliveryOf(rotation, options.environment), written, {
      ...options,
      vault: configuration.vault,
    }),
  );
  return [...cronJob, ...pods];
}

/** One YAML document after the other. */
export function manifestText({ resources, warnings }: Manifest): string {
  const [first, ...others] = resources;
  const warned =
    first === undefined
      ? []
      : [
          {
            ...first,
            comment: [...warnings.map((warning) => `WARNING: ${warning}`), ...(first.comment ?? [])],
          },
        ];
  return [...warned, ...others].map(documentText).join("---\n");
}

function documentText({ body, comment = [] }: Resource): string {
  // YAML 1.1 is what Kubernetes reads: there, `on` or `0600` are no texts unless they are quoted.
  const document = new Document(body, { version: "1.1", aliasDuplicateObjects: false });
  if (comment.length > 0 && document.contents !== null) {
    document.contents.commentBefore = comment.map((line) => ` ${line}`).join("\n");
  }
  return document.toString({ lineWidth: 0, directives: false });
}

/** What an earlier rotation has brought along already. */
interface Written {
  /** By namespace and name: the first rotation whose pods run as that service account. */
  readonly accounts: Map<string, PodDelivery>;
  /** With the configuration of the sidecars. */
  readonly namespaces: Set<string>;
}

function podManifest(
  rotation: KubernetesRotation,
  delivery: PodDelivery,
  written: Written,
  options: ManifestOptions & Pick<Configuration, "vault">,
): Manifest {
  const { namespace, serviceAccount: account, mounts, name } = delivery;
  const key = `${namespace}/${account}`;
  const first = written.accounts.get(key);
  written.accounts.set(key, first ?? delivery);
  const isConfigured = written.namespaces.has(namespace);
  written.namespaces.add(namespace);
  const pod = options.sidecar ? sidecarPod(rotation, delivery, options) : examplePod(delivery);
  const secrets = [...new Set(mounts.flatMap(({ files }) => files.map(({ output }) => output.secret)))];
  return {
    file: `${name}.yaml`,
    rotation: rotation.name,
    resources: [
      ...(first === undefined
        ? [
            serviceAccount({
              name: account,
              namespace,
              clientId: delivery.clientId,
              tenantId: delivery.tenantId,
              needs: `Its identity needs the role Key Vault Secrets User, at least for ${secrets.join(", ")}.`,
            }),
          ]
        : []),
      ...(options.sidecar
        ? isConfigured
          ? []
          : [rotatorConfiguration(options.document, namespace)]
        : mounts.map((mount) => providerClass(delivery, mount))),
      ...pod.resources,
    ],
    warnings: [
      ...(options.complaints.get(rotation.name) ?? []),
      ...placeholderWarnings(delivery),
      ...(first !== undefined && first.clientId !== delivery.clientId
        ? [
            `${first.rotation} gives the service account ${key} another client id; one service account has one.`,
          ]
        : []),
      ...pod.warnings,
    ],
  };
}

function placeholderWarnings({ rotation, clientId, tenantId }: PodDelivery): readonly string[] {
  return [
    ...(clientId === placeholders.clientId
      ? [
          `${rotation} does not say which identity its pods use: set kubernetes.clientId, or replace ${clientId}.`,
        ]
      : []),
    ...(tenantId === placeholders.tenantId
      ? [
          `${rotation} does not say the tenant: set kubernetes.tenantId or AZURE_TENANT_ID, or replace ${tenantId}.`,
        ]
      : []),
  ];
}

function cronJobManifest(configuration: Configuration, options: ManifestOptions): Manifest {
  return {
    file: "token-rotator.yaml",
    resources: [
      serviceAccount({
        name: rotatorServiceAccountName,
        clientId: placeholders.clientId,
        tenantId: options.environment.AZURE_TENANT_ID || placeholders.tenantId,
        needs: "The rotator's identity: it needs the roles that docs/deploy.md lists.",
      }),
      rotatorConfiguration(options.document),
      rotatorCronJob(configuration, options),
    ],
    warnings: [
      `The client id of the rotator's identity is not in the configuration: replace ${placeholders.clientId}.`,
    ],
  };
}
