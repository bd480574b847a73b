import { parse as parsePath } from "node:path/posix";
import type { Configuration, FileDelivery, ReadyRotation } from "../../config/configuration.ts";
import { absolutePath } from "../files/targets.ts";
import type { PodDelivery } from "./delivery.ts";
import { deploymentOf, type ExamplePod, environmentOf } from "./pod.ts";
import { type ReadableFile, type ReaderSettings, readerSettings } from "./readers.ts";
import {
  labelsOf,
  type Resource,
  restrictedContainer,
  restrictedPod,
  workloadIdentityLabel,
} from "./resources.ts";

/*
 * Pods that run the command line itself, for clusters without the CSI driver.
 */

export interface RotatorImage {
  /** Has `token-rotator` as its entry point. */
  readonly image: string;
  /** The text of rotations.json; there is no secret in it. */
  readonly document: string;
}

const configurationDirectory = "/etc/token-rotator";
const configurationPath = `${configurationDirectory}/rotations.json`;
const rotatorName = "token-rotator";

/** The configuration for every pod of one namespace. */
export function rotatorConfiguration(document: string, namespace?: string): Resource {
  return {
    comment: ["The configuration of the pods below. Apply it again when rotations.json changes."],
    body: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: rotatorName,
        ...(namespace === undefined ? {} : { namespace }),
        labels: labelsOf(rotatorName),
      },
      data: { "rotations.json": document },
    },
  };
}

/** Runs the rotator as a CronJob, in place of the function app. */
export function rotatorCronJob({ tickMs, vault }: Configuration, { image }: RotatorImage): Resource {
  const schedule = cronSchedule(tickMs);
  return {
    comment: [
      "The rotator as a CronJob, in place of the function app: never both, since two would spend one refresh token.",
      "A run that fails ends its Job as failed; watch for that, and for Jobs that stay away: there are no alerts from Azure here.",
      ...(schedule.isExact
        ? []
        : [
            "The schedule is more frequent than `tick` in rotations.json, which no schedule of cron can say.",
          ]),
    ],
    body: {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: rotatorName, labels: labelsOf(rotatorName) },
      spec: {
        schedule: schedule.text,
        // A run that overlaps the next one is let finish; a missed one is made up for by the next.
        concurrencyPolicy: "Forbid",
        startingDeadlineSeconds: 60,
        successfulJobsHistoryLimit: 1,
        failedJobsHistoryLimit: 3,
        jobTemplate: {
          spec: {
            backoffLimit: 0,
            activeDeadlineSeconds: longestRunSeconds,
            template: {
              metadata: { labels: { ...labelsOf(rotatorName), ...workloadIdentityLabel } },
              spec: {
                serviceAccountName: rotatorName,
                restartPolicy: "Never",
                securityContext: restrictedPod,
                containers: [
                  {
                    name: "rotate",
                    image,
                    args: ["rotate", "--config", configurationPath],
                    env: [{ name: "KEY_VAULT_URL", value: vault }],
                    volumeMounts: [configurationMount],
                    securityContext: restrictedContainer,
                  },
                ],
                volumes: [configurationVolume],
              },
            },
          },
        },
      },
    },
  };
}

export const rotatorServiceAccountName = rotatorName;

/** Longer than a tick goes on by itself. */
const longestRunSeconds = 300;

const configurationMount = { name: "rotations", mountPath: configurationDirectory, readOnly: true };
const configurationVolume = { name: "rotations", configMap: { name: rotatorName } };

/** The nearest schedule of cron that is not less frequent. */
function cronSchedule(tickMs: number): { readonly text: string; readonly isExact: boolean } {
  const minutes = tickMs / 60_000;
  const every = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60].findLast((step) => step <= minutes) ?? 1;
  return { text: every === 60 ? "0 * * * *" : `*/${every} * * * *`, isExact: every === minutes };
}

/** Where the sidecar's files are, for every container of the pod: its `~`. */
const sharedDirectory = "/var/run/tokens";

/**
 * An example of a Deployment whose files a sidecar keeps up to date, with `pull`. Both containers run as one user, to whom the
 * files belong.
 */
export function sidecarPod(
  rotation: ReadyRotation,
  delivery: PodDelivery,
  { image, vault }: RotatorImage & Pick<Configuration, "vault">,
): ExamplePod {
  const { name, namespace, serviceAccount } = delivery;
  const files = rotation.files.flatMap((file) => readable(file, rotation));
  const outside = rotation.files.filter((file) => !isShared(file)).map(pathOf);
  const settings = sidecarSettings(rotation.files, files);
  const pull = (container: string, ...more: string[]) => ({
    name: container,
    image,
    // The volume can be written to by every container of the pod, and by nobody else.
    args: ["pull", rotation.name, "--shared-directories", "--config", configurationPath, ...more],
    env: [
      { name: "HOME", value: sharedDirectory },
      { name: "KEY_VAULT_URL", value: vault },
    ],
    volumeMounts: [{ name: "tokens", mountPath: sharedDirectory }, configurationMount],
    securityContext: restrictedContainer,
  });
  const deployment = deploymentOf(name, namespace, {
    annotations: {},
    spec: {
      serviceAccountName: serviceAccount,
      securityContext: restrictedPod,
      // Once before the app begins, so that it never sees a place without files; then for as long as it runs.
      initContainers: [pull("first-pull")],
      containers: [
        {
          name: "app",
          image: "example.org/app:1",
          env: environmentOf(settings),
          volumeMounts: [{ name: "tokens", mountPath: sharedDirectory, readOnly: true }],
          securityContext: restrictedContainer,
        },
        pull("pull", "--watch"),
      ],
      volumes: [{ name: "tokens", emptyDir: { medium: "Memory" } }, configurationVolume],
    },
  });
  return {
    resources: [
      {
        comment: [
          `An example of a pod whose files a sidecar keeps up to date: whatever \`files\` of the rotation puts under ~/ is in ${sharedDirectory}.`,
          ...settings.notes,
        ],
        body: deployment,
      },
    ],
    warnings: [
      ...(rotation.files.length === 0
        ? [
            `${rotation.name} has no \`files\`, so its sidecar has nothing to write: add the files that the app reads.`,
          ]
        : []),
      ...outside.map(
        (path) =>
          `${path} is not under ~/, so the app's container does not see it: write it as ~/… for a sidecar.`,
      ),
      ...settings.warnings,
    ],
  };
}

function pathOf(file: FileDelivery): string {
  return file.kind === "oci-session" ? file.directory : file.path;
}

function isShared(file: FileDelivery): boolean {
  return pathOf(file).startsWith("~/");
}

function readable(file: FileDelivery, { outputs }: ReadyRotation): ReadableFile[] {
  if (file.kind === "oci-session" || !isShared(file)) {
    return [];
  }
  const output = outputs.find(({ secret }) => secret === file.output);
  const { dir, base } = parsePath(absolutePath(file.path, { home: sharedDirectory, directory: "/" }));
  return output === undefined ? [] : [{ output, directory: dir, name: base }];
}

function sidecarSettings(
  deliveries: readonly FileDelivery[],
  files: readonly ReadableFile[],
): ReaderSettings {
  const { environment, notes, warnings } = readerSettings(files);
  const session = deliveries.find((file) => file.kind === "oci-session");
  if (session === undefined) {
    return { environment, notes, warnings };
  }
  const directory = absolutePath(session.directory, { home: sharedDirectory, directory: "/" });
  return {
    environment: {
      ...environment,
      OCI_CLI_CONFIG_FILE: `${directory}/config`,
      OCI_CONFIG_FILE: `${directory}/config`,
      OCI_CLI_AUTH: "security_token",
      OCI_CLI_PROFILE: session.profile,
    },
    notes,
    warnings,
  };
}
