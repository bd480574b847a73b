import { Ajv, type ValidateFunction } from "ajv";

/*
 * What Kubernetes and the driver take, as far as the manifests use it; anything else is refused, so that a misspelt field
 * does not pass. From the published definitions:
 *
 * - Kubernetes: api/openapi-spec/swagger.json of kubernetes/kubernetes (io.k8s.api.apps.v1.Deployment, batch.v1.CronJob,
 *   core.v1.ServiceAccount, core.v1.ConfigMap, core.v1.PodSpec, core.v1.Container, core.v1.CSIVolumeSource).
 * - SecretProviderClass: config/crd/bases/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml of
 *   kubernetes-sigs/secrets-store-csi-driver.
 * - Its parameters: pkg/provider/types/const.go of Azure/secrets-store-csi-driver-provider-azure.
 *
 * Names and values of labels follow kubernetes.io/docs/concepts/overview/working-with-objects/{names,labels}.
 */

const label = { type: "string", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" };
const subdomain = { type: "string", maxLength: 253, pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" };
const texts = { type: "object", additionalProperties: { type: "string" } };
const labels = {
  type: "object",
  propertyNames: { pattern: "^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$" },
  additionalProperties: { type: "string", pattern: "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$" },
};

function object(properties: object, required: readonly string[] = Object.keys(properties)): object {
  return { type: "object", additionalProperties: false, properties, required };
}

function listOf(items: object): object {
  return { type: "array", items, minItems: 1 };
}

const metadata = object({ name: subdomain, namespace: label, labels, annotations: texts }, ["name"]);

const securityContext = object(
  {
    runAsNonRoot: { const: true },
    runAsUser: { type: "integer", minimum: 0 },
    runAsGroup: { type: "integer", minimum: 0 },
    allowPrivilegeEscalation: { const: false },
    readOnlyRootFilesystem: { const: true },
    capabilities: object({ drop: listOf({ const: "ALL" }) }),
    seccompProfile: object({ type: { const: "RuntimeDefault" } }),
  },
  [],
);

const variable = {
  oneOf: [
    object({ name: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]*$" }, value: { type: "string" } }),
    object({
      name: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]*$" },
      valueFrom: object({
        secretKeyRef: object({
          name: subdomain,
          key: { type: "string", pattern: "^[-._a-zA-Z0-9]{1,253}$" },
        }),
      }),
    }),
  ],
};

const container = object(
  {
    name: label,
    image: { type: "string", minLength: 1 },
    args: listOf({ type: "string" }),
    env: { type: "array", items: variable },
    volumeMounts: listOf(
      // `subPath` is a field of Kubernetes too; it is left out because such a mount is never kept up to date.
      object({ name: label, mountPath: { type: "string", pattern: "^/" }, readOnly: { type: "boolean" } }, [
        "name",
        "mountPath",
      ]),
    ),
    securityContext,
  },
  ["name", "image", "volumeMounts", "securityContext"],
);

const volume = {
  oneOf: [
    object({
      name: label,
      csi: object({
        driver: { const: "secrets-store.csi.k8s.io" },
        readOnly: { const: true },
        volumeAttributes: object({ secretProviderClass: subdomain }),
      }),
    }),
    object({ name: label, configMap: object({ name: subdomain }) }),
    object({ name: label, emptyDir: object({ medium: { const: "Memory" } }) }),
  ],
};

const podTemplate = object({
  metadata: object({ labels }),
  spec: object(
    {
      serviceAccountName: subdomain,
      restartPolicy: { enum: ["Always", "OnFailure", "Never"] },
      securityContext,
      initContainers: listOf(container),
      containers: listOf(container),
      volumes: listOf(volume),
    },
    ["serviceAccountName", "containers", "volumes"],
  ),
});

function kind(apiVersion: string, name: string, fields: object): object {
  return object({ apiVersion: { const: apiVersion }, kind: { const: name }, metadata, ...fields });
}

const schemas: Readonly<Record<string, object>> = {
  ServiceAccount: kind("v1", "ServiceAccount", {}),
  ConfigMap: kind("v1", "ConfigMap", {
    data: {
      type: "object",
      propertyNames: { pattern: "^[-._a-zA-Z0-9]{1,253}$" },
      additionalProperties: { type: "string" },
    },
  }),
  Deployment: kind("apps/v1", "Deployment", {
    spec: object({
      replicas: { type: "integer", minimum: 0 },
      selector: object({ matchLabels: labels }),
      template: podTemplate,
    }),
  }),
  CronJob: kind("batch/v1", "CronJob", {
    spec: object({
      schedule: { type: "string", pattern: "^(\\S+ ){4}\\S+$" },
      concurrencyPolicy: { enum: ["Allow", "Forbid", "Replace"] },
      startingDeadlineSeconds: { type: "integer", minimum: 10 },
      successfulJobsHistoryLimit: { type: "integer", minimum: 0 },
      failedJobsHistoryLimit: { type: "integer", minimum: 0 },
      jobTemplate: object({
        spec: object({
          backoffLimit: { type: "integer", minimum: 0 },
          activeDeadlineSeconds: { type: "integer", minimum: 1 },
          template: podTemplate,
        }),
      }),
    }),
  }),
  SecretProviderClass: kind("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass", {
    spec: object(
      {
        provider: { const: "azure" },
        parameters: object(
          Object.fromEntries(
            ["keyvaultName", "cloudName", "tenantID", "clientID", "objects"].map((name) => [
              name,
              { type: "string", minLength: 1 },
            ]),
          ),
          ["keyvaultName", "tenantID", "clientID", "objects"],
        ),
        secretObjects: listOf(
          object({
            secretName: subdomain,
            type: { type: "string" },
            data: listOf(
              object({
                objectName: { type: "string" },
                key: { type: "string", pattern: "^[-._a-zA-Z0-9]{1,253}$" },
              }),
            ),
          }),
        ),
      },
      ["provider", "parameters"],
    ),
  }),
};

const ajv = new Ajv({ allErrors: true, strictRequired: false });
const validators = new Map<string, ValidateFunction>(
  Object.entries(schemas).map(([name, schema]) => [name, ajv.compile(schema)]),
);

/** What is wrong with a Kubernetes object; empty where all is well. */
export function faultsOf(resource: { readonly kind: string }): readonly string[] {
  const validate = validators.get(resource.kind);
  if (validate === undefined) {
    return [`there is no schema for ${resource.kind}`];
  }
  return validate(resource)
    ? []
    : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}
