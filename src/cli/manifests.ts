import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { composeStores } from "../compose.ts";
import type { Configuration } from "../config/configuration.ts";
import { machineFileSystem } from "../delivery/files/fileSystem.ts";
import { replaceFile } from "../delivery/files/replaceFile.ts";
import {
  type KubernetesRotation,
  kubernetesRotations,
  type Manifest,
  manifests,
  manifestText,
} from "../delivery/kubernetes/manifests.ts";
import type { SecretState } from "../ports.ts";
import { version } from "../version.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { paint } from "./paint.ts";
import { openConfiguration } from "./rotator.ts";

interface ManifestsOptions extends CommonOptions {
  /** Directory for one file per rotation. */
  readonly out?: string;
  /** Without a look into the vaults. */
  readonly offline?: boolean;
  readonly cronjob?: boolean;
  readonly sidecar?: boolean;
  readonly image?: string;
}

/** Writes Kubernetes manifests to standard output, or to files. */
export async function action(io: Io, options: ManifestsOptions, names: readonly string[]): Promise<ExitCode> {
  const configuration = await openConfiguration(io, options);
  const { offline = false, cronjob = false, sidecar = false } = options;
  const pods = cronjob && !sidecar ? [] : kubernetesRotations(configuration, names);
  const made = manifests(configuration, {
    names,
    environment: io.environment,
    sidecar,
    cronJob: cronjob,
    image: options.image ?? `keyvault-token-rotator:${version}`,
    document: await readFile(configuration.file, "utf8"),
    complaints: offline ? new Map() : await complaintsOf(io, pods),
  });
  for (const warning of made.flatMap(({ warnings }) => warnings)) {
    io.stderr.write(`${paint(io.stderr, "yellow", "warning")}: ${warning}\n`);
  }
  for (const { name } of blockedOf(configuration)) {
    io.stderr.write(
      `${paint(io.stderr, "yellow", "warning")}: ${name} has a fault in the configuration and is left out; see \`token-rotator validate\`.\n`,
    );
  }
  await print(io, options, made);
  return 0;
}

function blockedOf({ rotations }: Configuration) {
  return rotations.filter(({ state }) => state === "blocked");
}

async function print(io: Io, { out, json }: ManifestsOptions, made: readonly Manifest[]): Promise<void> {
  const directory = out === undefined ? undefined : resolve(io.directory, out);
  if (directory !== undefined) {
    const fs = machineFileSystem({ sharedDirectories: true });
    for (const manifest of made) {
      const path = join(directory, manifest.file);
      const content = Buffer.from(manifestText(manifest));
      const changed = await replaceFile(path, () => content, { fs, mode: 0o644 });
      io.stderr.write(`${path} ${changed ? "written" : "unchanged"}\n`);
    }
  }
  if (json) {
    printJson(
      io,
      made.map(({ file, rotation, resources, warnings }) => ({
        ...(rotation === undefined ? {} : { rotation }),
        file: directory === undefined ? file : join(directory, file),
        resources: resources.map(({ body }) => body),
        warnings,
      })),
    );
  } else if (directory === undefined) {
    io.stdout.write(made.map(manifestText).join("---\n"));
  }
}

const retryMs = 30_000;

/** What would keep pods from starting: a secret that is not there, or that nobody may read. */
async function complaintsOf(
  io: Io,
  rotations: readonly KubernetesRotation[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { storeOf } = composeStores({ environment: io.environment, clock: io.clock });
  const context = { signal: io.signal, giveUpAt: io.clock.now() + retryMs };
  const vaults = [...new Set(rotations.flatMap(({ outputs }) => outputs.map(({ vault }) => vault)))];
  const states = new Map(
    await Promise.all(
      vaults.map(async (vault) => {
        const ofVault = rotations.flatMap(({ outputs }) =>
          outputs.filter((output) => output.vault === vault),
        );
        const found = await storeOf(vault).inspect(
          ofVault.map(({ secret }) => secret),
          context,
        );
        return [vault, found] as const;
      }),
    ),
  );
  return new Map(
    rotations.map(({ name, outputs, kubernetes }) => [
      name,
      outputs
        .filter(({ secret }) => kubernetes.objects.some(({ output }) => output === secret))
        .flatMap(({ secret, vault }) => complaintOf(secret, states.get(vault)?.get(secret))),
    ]),
  );
}

function complaintOf(secret: string, state: SecretState | undefined): readonly string[] {
  if (state?.kind === "absent") {
    return [
      `${secret} does not exist yet: pods stay in ContainerCreating until it does. Run \`token-rotator rotate\` first.`,
    ];
  }
  if (state?.kind === "unknown") {
    return [
      `Whether ${secret} exists could not be found out (${state.error.code}); without it pods stay in ContainerCreating. --offline does without this look.`,
    ];
  }
  return state?.kind === "present" && !state.properties.enabled
    ? [
        `The current version of ${secret} is disabled: pods stay in ContainerCreating until a newer one is there.`,
      ]
    : [];
}
