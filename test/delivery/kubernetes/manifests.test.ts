import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { parseConfiguration } from "../../../src/config/parse.ts";
import {
  type Manifest,
  type ManifestOptions,
  manifests,
  manifestText,
} from "../../../src/delivery/kubernetes/manifests.ts";
import { parseObjects } from "../../../src/delivery/kubernetes/providerObjects.ts";
import type { ResourceBody } from "../../../src/delivery/kubernetes/resources.ts";
import { fc } from "../../properties.ts";
import { faultsOf } from "./schemas.ts";

const clientId = "11111111-1111-4111-8111-111111111111";
const tenantId = "22222222-2222-4222-8222-222222222222";
const source = { kind: "entra", scope: "api://app/.default" };

function made(rotations: object, options: Partial<ManifestOptions> = {}, top: object = {}): Manifest[] {
  const document = JSON.stringify({ vault: "https://kv-example.vault.azure.net", ...top, rotations });
  const configuration = parseConfiguration(document, { file: "/etc/rotations.json", environment: {} });
  assert.deepEqual(configuration.problems, []);
  return manifests(configuration, {
    names: [],
    environment: { AZURE_TENANT_ID: tenantId },
    sidecar: false,
    cronJob: false,
    image: "example.org/token-rotator:1",
    document,
    complaints: new Map(),
    ...options,
  });
}

// biome-ignore lint/suspicious/noExplicitAny: the tests look into documents of many kinds.
type Body = any;

/** The documents of the text, as Kubernetes reads them. */
function read(manifest: Manifest | undefined): ResourceBody[] {
  assert.ok(manifest !== undefined);
  const text = manifestText(manifest);
  const [old, recent] = (["1.1", "1.2"] as const).map((version) =>
    parseAllDocuments(text, { version }).map((document) => {
      assert.deepEqual(document.errors, []);
      return document.toJS() as ResourceBody;
    }),
  );
  assert.deepEqual(old, recent, "it is the same in YAML 1.1, which Kubernetes reads, and in 1.2");
  assert.deepEqual(
    old,
    manifest.resources.map(({ body }) => body),
  );
  for (const body of old ?? []) {
    assert.deepEqual(faultsOf(body), [], text);
  }
  return old ?? [];
}

function ofKind(bodies: readonly ResourceBody[], kind: string): Body {
  const found = bodies.filter((body) => body.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0];
}

const oracle = {
  source,
  outputs: [{ secret: "oracle-entraid-token" }],
  kubernetes: {
    namespace: "oracle",
    serviceAccount: "client",
    clientId,
    objects: [{ output: "oracle-entraid-token", alias: "token" }],
  },
};

describe("for the CSI driver", () => {
  test("Oracle: a file token in a directory that TOKEN_LOCATION names", () => {
    const bodies = read(made({ "oracle-adb": oracle })[0]);
    assert.deepEqual(
      bodies.map(({ kind }) => kind),
      ["ServiceAccount", "SecretProviderClass", "ConfigMap", "Deployment"],
    );
    const { metadata, spec } = ofKind(bodies, "SecretProviderClass");
    assert.deepEqual([metadata.namespace, metadata.name], ["oracle", "oracle-adb"]);
    assert.equal(spec.parameters.keyvaultName, "kv-example");
    assert.equal(spec.parameters.tenantID, tenantId);
    assert.equal(spec.parameters.clientID, clientId);
    assert.deepEqual(parseObjects(spec.parameters.objects), [
      { secret: "oracle-entraid-token", path: "token", mode: 0o644 },
    ]);

    const account = ofKind(bodies, "ServiceAccount");
    assert.equal(account.metadata.annotations["azure.workload.identity/client-id"], clientId);
    assert.equal(account.metadata.annotations["azure.workload.identity/tenant-id"], tenantId);

    const pod = ofKind(bodies, "Deployment").spec.template;
    assert.equal(pod.spec.serviceAccountName, "client");
    assert.equal(pod.metadata.labels["azure.workload.identity/use"], "true");
    const mount = pod.spec.containers[0].volumeMounts.find(({ name }: Body) => name === "oracle-adb");
    assert.equal(mount.readOnly, true);
    const sqlnet = ofKind(bodies, "ConfigMap").data["sqlnet.ora"];
    assert.match(sqlnet, new RegExp(`^TOKEN_LOCATION="${mount.mountPath}"$`, "m"));
    assert.match(sqlnet, /^TOKEN_AUTH=OAUTH$/m);
  });

  test(".pgpass: a file that only its owner may read, and a container that is its owner", () => {
    const [manifest] = made({
      lakebase: {
        source,
        outputs: [{ secret: "lakebase-pgpass", format: "pgpass", host: "h", user: "u" }],
        kubernetes: { clientId },
      },
    });
    const bodies = read(manifest);
    const { parameters } = ofKind(bodies, "SecretProviderClass").spec;
    assert.deepEqual(parseObjects(parameters.objects), [
      { secret: "lakebase-pgpass", path: "lakebase-pgpass", mode: 0o600 },
    ]);
    const [container] = ofKind(bodies, "Deployment").spec.template.spec.containers;
    assert.deepEqual(container.env, [{ name: "PGPASSFILE", value: "/mnt/secrets/lakebase/lakebase-pgpass" }]);
    assert.equal(container.securityContext.runAsUser, 0);
    assert.match(manifestText(manifest as Manifest), /whatever securityContext\.fsGroup says/);
  });

  test("OCI: profile, key and token from one mount; a profile that points elsewhere is told", () => {
    const rotation = (directory: string) => ({
      source,
      outputs: [
        { secret: "oci-token" },
        { secret: "oci-key", format: "private-key" },
        {
          secret: "oci-config",
          format: "oci-config",
          profile: "MINE",
          region: "eu-frankfurt-1",
          tenancy: "ocid1.tenancy.oc1..a",
          keyFile: `${directory}/oci-key`,
          securityTokenFile: `${directory}/oci-token`,
        },
      ],
      kubernetes: {
        clientId,
        mountPath: "/mnt/oci",
        objects: [{ output: "oci-token" }, { output: "oci-key" }, { output: "oci-config", alias: "config" }],
      },
    });
    const [manifest] = made({ oci: rotation("/mnt/oci") });
    const bodies = read(manifest);
    assert.deepEqual(manifest?.warnings, []);
    const classes = bodies.filter(({ kind }) => kind === "SecretProviderClass");
    assert.equal(classes.length, 1, "one mount, which is switched as a whole");
    const { env } = ofKind(bodies, "Deployment").spec.template.spec.containers[0];
    const variables = Object.fromEntries(env.map(({ name, value }: Body) => [name, value]));
    assert.equal(variables.OCI_CLI_CONFIG_FILE, "/mnt/oci/config");
    assert.equal(variables.OCI_CLI_AUTH, "security_token");
    assert.equal(variables.OCI_CLI_PROFILE, "MINE");

    const [elsewhere] = made({ oci: rotation("/mnt/secrets") });
    assert.equal(elsewhere?.warnings.length, 2);
    assert.match(elsewhere?.warnings[0] ?? "", /names \/mnt\/secrets\/oci-key, which is not in the mount/);
  });

  test("variables: a Kubernetes secret by the names of the files, and an annotation that replaces the pods", () => {
    const bodies = read(
      made({
        app: {
          ...oracle,
          kubernetes: {
            ...oracle.kubernetes,
            secretObjects: [
              { name: "app-token", data: [{ output: "oracle-entraid-token", key: "api-token" }] },
            ],
          },
        },
      })[0],
    );
    assert.deepEqual(ofKind(bodies, "SecretProviderClass").spec.secretObjects, [
      { secretName: "app-token", type: "Opaque", data: [{ objectName: "token", key: "api-token" }] },
    ]);
    const deployment = ofKind(bodies, "Deployment");
    assert.equal(deployment.metadata.annotations["secret.reloader.stakater.com/reload"], "app-token");
    assert.deepEqual(deployment.spec.template.spec.containers[0].env.at(-1), {
      name: "API_TOKEN",
      valueFrom: { secretKeyRef: { name: "app-token", key: "api-token" } },
    });
  });

  test("a class for each vault, and the cloud that the vault is in", () => {
    const vaults = [
      "https://kv-a.vault.azure.cn",
      "https://kv-b.vault.usgovcloudapi.net",
      "https://kv-c.vault.azure.net",
    ];
    const bodies = read(
      made({
        app: {
          source,
          outputs: vaults.map((vault, index) => ({ secret: `secret-${index}`, vault })),
          kubernetes: { clientId },
        },
      })[0],
    );
    const classes: Body[] = bodies.filter(({ kind }) => kind === "SecretProviderClass");
    assert.deepEqual(
      classes.map(({ metadata, spec }) => [
        metadata.name,
        spec.parameters.keyvaultName,
        spec.parameters.cloudName,
      ]),
      [
        ["app", "kv-a", "AzureChinaCloud"],
        ["app-2", "kv-b", "AzureUSGovernmentCloud"],
        ["app-3", "kv-c", undefined],
      ],
    );
    const { volumes, containers } = ofKind(bodies, "Deployment").spec.template.spec;
    assert.deepEqual(
      volumes.map(({ csi }: Body) => csi.volumeAttributes.secretProviderClass),
      ["app", "app-2", "app-3"],
    );
    assert.equal(new Set(containers[0].volumeMounts.map(({ mountPath }: Body) => mountPath)).size, 3);
  });

  test("the driver's settings are said where they belong, and nothing is a syncPeriod", () => {
    const [manifest] = made({
      app: { ...oracle, kubernetes: { ...oracle.kubernetes, pollInterval: "1m30s" } },
    });
    const text = manifestText(manifest as Manifest);
    assert.match(text, /az aks update .*--enable-secret-rotation --rotation-poll-interval 90s/);
    assert.match(text, /enableSecretRotation: 'true', rotationPollInterval: '90s'/);
    assert.match(
      text,
      /--subject system:serviceaccount:oracle:client --audiences api:\/\/AzureADTokenExchange/,
    );
    assert.doesNotMatch(JSON.stringify(read(manifest)), /syncPeriod|subPath/);
  });

  test("rotations that share a service account write it once; two identities for one are told", () => {
    const other = {
      ...oracle,
      outputs: [{ secret: "b" }],
      kubernetes: { ...oracle.kubernetes, objects: [] },
    };
    const [first, second] = made({ a: oracle, b: other });
    assert.ok(first?.resources.some(({ body }) => body.kind === "ServiceAccount"));
    assert.equal(
      second?.resources.some(({ body }) => body.kind === "ServiceAccount"),
      false,
    );
    const [, third] = made({
      a: oracle,
      b: { ...other, kubernetes: { ...other.kubernetes, clientId: tenantId } },
    });
    assert.match(third?.warnings.join() ?? "", /another client id/);
  });

  test("what is missing is a warning at the top, and in the place of what is missing", () => {
    const [manifest] = made(
      { "app-": { source, outputs: [{ secret: "token" }], kubernetes: {} } },
      { environment: {}, complaints: new Map([["app-", ["token does not exist yet."]]]) },
    );
    const text = manifestText(manifest as Manifest);
    assert.match(text, /^# WARNING: token does not exist yet\.\n# WARNING: .*client.*\n# WARNING: .*tenant/);
    const bodies = read(manifest);
    assert.equal(ofKind(bodies, "SecretProviderClass").metadata.name, "app", "no name ends with a hyphen");
    assert.equal(ofKind(bodies, "SecretProviderClass").spec.parameters.clientID, "REPLACE-WITH-CLIENT-ID");
  });

  test("only the rotations that are named, and none that is not for Kubernetes", () => {
    const plain = { source, outputs: [{ secret: "plain" }] };
    assert.deepEqual(
      made({ a: oracle, plain }).map(({ file }) => file),
      ["a.yaml"],
    );
    assert.throws(() => made({ a: oracle, plain }, { names: ["plain"] }), {
      code: "NothingForKubernetes",
      stage: "configure",
    });
    assert.throws(() => made({ a: oracle }, { names: ["b"] }), { code: "RotationUnknown" });
  });
});

describe("without the CSI driver", () => {
  const lakebase = {
    source,
    outputs: [{ secret: "pgpass", format: "pgpass", host: "h", user: "u" }],
    files: [{ kind: "pgpass", output: "pgpass" }],
    kubernetes: { namespace: "apps", clientId },
  };

  test("--sidecar: one container pulls before the app begins, one for as long as it runs, all as one user", () => {
    const [manifest] = made({ lakebase }, { sidecar: true });
    assert.deepEqual(manifest?.warnings, []);
    const bodies = read(manifest);
    assert.equal(
      bodies.some(({ kind }) => kind === "SecretProviderClass"),
      false,
    );
    const { spec } = ofKind(bodies, "Deployment").spec.template;
    assert.deepEqual(spec.initContainers[0].args.slice(0, 3), ["pull", "lakebase", "--shared-directories"]);
    const [app, sidecar] = spec.containers;
    assert.ok(sidecar.args.includes("--watch"));
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.deepEqual(app.env, [{ name: "PGPASSFILE", value: "/var/run/tokens/.pgpass" }]);
    assert.deepEqual(app.volumeMounts, [{ name: "tokens", mountPath: "/var/run/tokens", readOnly: true }]);
    assert.equal(sidecar.env.find(({ name }: Body) => name === "HOME").value, "/var/run/tokens");
    assert.deepEqual(JSON.parse(ofKind(bodies, "ConfigMap").data["rotations.json"]).rotations, { lakebase });
  });

  test("--sidecar: an OCI session, and files that the app would not see", () => {
    const oci = {
      source,
      outputs: [{ secret: "bundle", format: "oci-bundle" }],
      files: [{ kind: "oci-session", bundle: "bundle", profile: "MINE" }],
      kubernetes: { clientId },
    };
    const outside = { ...lakebase, files: [{ kind: "pgpass", output: "pgpass", path: "/etc/pgpass" }] };
    const none = { ...lakebase, files: [] };
    const [first, second, third] = made(
      { oci, outside, none: { ...none, outputs: [{ secret: "other" }] } },
      { sidecar: true },
      {},
    );
    const { env } = ofKind(read(first), "Deployment").spec.template.spec.containers[0];
    assert.ok(
      env.some(
        ({ name, value }: Body) => name === "OCI_CLI_CONFIG_FILE" && value === "/var/run/tokens/.oci/config",
      ),
    );
    assert.match(second?.warnings.join() ?? "", /\/etc\/pgpass is not under ~\//);
    assert.match(third?.warnings.join() ?? "", /none has no `files`/);
  });

  for (const [tick, schedule, isExact] of [
    ["5m", "*/5 * * * *", true],
    ["1m", "*/1 * * * *", true],
    ["7m", "*/6 * * * *", false],
    ["30s", "*/1 * * * *", false],
    ["1h", "0 * * * *", true],
  ] as const) {
    test(`--cronjob: ${tick} is ${schedule}`, () => {
      const margin = { lifetime: "1d", propagation: "5m" };
      const [manifest, ...more] = made({ lakebase: { ...lakebase, ...margin } }, { cronJob: true }, { tick });
      assert.deepEqual(more, []);
      const bodies = read(manifest);
      const { spec } = ofKind(bodies, "CronJob");
      assert.equal(spec.schedule, schedule);
      assert.equal(spec.concurrencyPolicy, "Forbid");
      const pod = spec.jobTemplate.spec.template.spec;
      assert.deepEqual(pod.containers[0].args, ["rotate", "--config", "/etc/token-rotator/rotations.json"]);
      assert.equal(pod.serviceAccountName, ofKind(bodies, "ServiceAccount").metadata.name);
      assert.equal(/more frequent than/.test(manifestText(manifest as Manifest)), !isExact);
    });
  }

  test("both together: the rotator, and pods that pull", () => {
    const files = made({ lakebase }, { cronJob: true, sidecar: true }).map(({ file }) => file);
    assert.deepEqual(files, ["token-rotator.yaml", "lakebase.yaml"]);
  });
});

test("names and texts of every kind come back from the text as they went in", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}[a-z0-9]$/);
  const alias = fc
    .oneof(
      fc.constantFrom("on", "yes", "0600", "1e3", "12:30:45", "null", "true", ".pgpass", "0x10", "1_000"),
      fc.stringMatching(/^\.?[0-9A-Za-z_][0-9A-Za-z_-]{0,12}$/),
    )
    .filter((text) => /^\.?[0-9A-Za-z_][0-9A-Za-z._-]*$/.test(text));
  const mode = fc.integer({ min: 0, max: 0o777 }).map((bits) => `0${bits.toString(8).padStart(3, "0")}`);
  fc.assert(
    fc.property(
      name,
      fc.uniqueArray(alias, { minLength: 1, maxLength: 4 }),
      mode,
      (rotation, aliases, filePermission) => {
        const outputs = aliases.map((_, index) => ({ secret: `secret-${index}` }));
        const objects = aliases.map((file, index) => ({
          output: `secret-${index}`,
          alias: file,
          filePermission,
        }));
        const [manifest] = made({ [rotation]: { source, outputs, kubernetes: { clientId, objects } } });
        const { parameters } = ofKind(read(manifest), "SecretProviderClass").spec;
        assert.deepEqual(
          parseObjects(parameters.objects),
          aliases.map((path, index) => ({
            secret: `secret-${index}`,
            path,
            mode: Number.parseInt(filePermission, 8),
          })),
        );
      },
    ),
    { numRuns: 100 },
  );
});

describe("objects are read as the provider does", () => {
  const one = (...fields: string[]) => `array:\n  - |\n${fields.map((field) => `    ${field}\n`).join("")}`;

  test("what people write by hand, with octal modes that are no texts", () => {
    const text = one(
      "objectName: ' a '",
      "objectType: secret",
      "objectAlias: b",
      "filePermission: 0640",
      "objectVersion: v1",
    );
    assert.deepEqual(parseObjects(text), [{ secret: "a", version: "v1", path: "b", mode: 0o640 }]);
  });

  for (const [name, text, code] of [
    ["no YAML", "array: [", "ProviderObjectsMalformed"],
    ["no list", "array: x", "ProviderObjectsMalformed"],
    ["a list of objects in place of texts", "array:\n  - objectName: a\n", "ProviderObjectsMalformed"],
    ["no name", one("objectType: secret"), "ProviderObjectsMalformed"],
    ["a certificate", one("objectName: a", "objectType: cert"), "ProviderObjectsMalformed"],
    [
      "several versions",
      one("objectName: a", "objectType: secret", "objectVersionHistory: 2"),
      "ProviderObjectsMalformed",
    ],
    [
      "a name that climbs",
      one("objectName: a", "objectType: secret", "objectAlias: ../b"),
      "ProviderFileNameRefused",
    ],
    [
      "dots within a name",
      one("objectName: a", "objectType: secret", "objectAlias: a..b"),
      "ProviderFileNameRefused",
    ],
    [
      "an absolute name",
      one("objectName: a", "objectType: secret", "objectAlias: /b"),
      "ProviderFileNameRefused",
    ],
    [
      "a mode that is none",
      one("objectName: a", "objectType: secret", "filePermission: rw"),
      "ProviderPermissionRefused",
    ],
    [
      "a mode that is not octal",
      one("objectName: a", "objectType: secret", "filePermission: '0980'"),
      "ProviderPermissionRefused",
    ],
  ] as const) {
    test(`${name} is refused`, () => {
      assert.throws(() => parseObjects(text), { code });
    });
  }
});
