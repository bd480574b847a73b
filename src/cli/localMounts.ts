import { join } from "node:path";
import { composeStores } from "../compose.ts";
import { podDeliveryOf } from "../delivery/kubernetes/delivery.ts";
import { kubernetesRotations } from "../delivery/kubernetes/manifests.ts";
import { providerClass, vaultName } from "../delivery/kubernetes/providerClass.ts";
import { asRotatorError } from "../errors.ts";
import { CsiMirror } from "../local/csiMirror.ts";
import type { Io } from "./io.ts";
import { openConfiguration } from "./rotator.ts";

/** What pods would find, of one class. */
export interface Mounted {
  readonly name: string;
  readonly directory: string;
  readonly files: readonly string[];
  /** Code of the error that keeps it as it was. */
  readonly error?: string;
}

type MountedClass = Mounted & { readonly mirror: CsiMirror };

/** Mounts, below a directory, every class that `manifests` would write for a configuration. */
export class LocalMounts {
  readonly #io: Io;
  readonly #classes: readonly MountedClass[];

  private constructor(io: Io, classes: readonly MountedClass[]) {
    this.#io = io;
    this.#classes = classes;
  }

  static async open(io: Io, file: string, directory: string): Promise<LocalMounts> {
    const configuration = await openConfiguration(io, { config: file });
    const { storeOf } = composeStores({ environment: io.environment, clock: io.clock });
    const vaults = configuration.rotations.flatMap(({ outputs }) => outputs.map(({ vault }) => vault));
    const vaultOf = (name: string) =>
      vaults.find((vault) => vaultName(vault) === name) ?? configuration.vault;
    const classes = kubernetesRotations(configuration, []).flatMap((rotation) => {
      const delivery = podDeliveryOf(rotation, io.environment);
      return delivery.mounts.map((mount) => ({
        name: mount.name,
        directory: join(directory, mount.name),
        files: mount.files.map(({ name }) => name),
        mirror: new CsiMirror({
          providerClass: providerClass(delivery, mount).body,
          directory: join(directory, mount.name),
          storeOf: (name) => storeOf(vaultOf(name)),
        }),
      }));
    });
    return new LocalMounts(io, classes);
  }

  /** One round of the driver's poll. */
  async poll(): Promise<readonly Mounted[]> {
    const context = { signal: this.#io.signal, giveUpAt: this.#io.clock.now() };
    return await Promise.all(
      this.#classes.map(async ({ mirror, ...mounted }) => {
        try {
          await mirror.mount(context);
          return mounted;
        } catch (error) {
          return { ...mounted, error: asRotatorError(error).code };
        }
      }),
    );
  }
}

export function mountedText(mounts: readonly Mounted[]): string {
  const lines = mounts.map(({ directory, files, error }) =>
    error === undefined ? `  ${directory}: ${files.join(", ")}\n` : `  ${directory}: as it was (${error})\n`,
  );
  return `Mounted, as the CSI driver does it for a pod:\n${lines.join("")}`;
}
