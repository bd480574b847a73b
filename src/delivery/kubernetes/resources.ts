/** A Kubernetes object, and what a reader of the file should know of it. */
export interface Resource {
  readonly body: ResourceBody;
  /** Lines of a comment above it. */
  readonly comment?: readonly string[];
}

export interface ResourceBody {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Labels of everything that is generated for one rotation. */
export function labelsOf(name: string): Readonly<Record<string, string>> {
  return { "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "token-rotator" };
}

/** What a pod needs least; the strictest of the Pod Security Standards takes it. */
export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
} as const;

/** Any user but root; files of pull belong to it, and readers of those run as it too. */
export const podUser = 10001;

export const restrictedPod = {
  runAsNonRoot: true,
  runAsUser: podUser,
  runAsGroup: podUser,
  seccompProfile: { type: "RuntimeDefault" },
} as const;

/** Lets the workload identity webhook put the identity into the pod. */
export const workloadIdentityLabel = { "azure.workload.identity/use": "true" } as const;

/** Names in Kubernetes do not end with a hyphen; names of rotations may. */
export function resourceName(rotation: string): string {
  return rotation.replace(/-+$/, "");
}
