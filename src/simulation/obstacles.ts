import type { ReadyRotation, SourceConfiguration } from "../config/configuration.ts";
import { registries } from "../config/registries.ts";
import { pluginOf } from "../config/resolve.ts";
import type { VaultVersion } from "../local/vaultSecrets.ts";
import type { SecretReference } from "../ports.ts";
import { identityTarget } from "./identityModel.ts";
import { leasesTarget } from "./leaseModel.ts";
import type { ProviderModel } from "./providerModel.ts";
import type { World } from "./world.ts";

/** Whom the function app's own identity speaks for. */
export const ownSubject = "the rotator's identity";

/** No instance's clock may be off by more. */
export const mostSkewMs = 5 * 60_000;

/** A refresh token that a rotation's source keeps. */
export interface KeptRefreshToken {
  readonly provider: ProviderModel;
  readonly reference: SecretReference;
  /** The vault holds the newest one that has reached anybody. */
  readonly stored: boolean;
  /** The provider takes what the vault holds. */
  readonly accepted: boolean;
  /** Nothing kept it from being stored in that time. */
  readonly couldStore: (from: number, to: number) => boolean;
}

/** What stands in the way of rotations: everything for which the rotator is not to blame. */
export class Obstacles {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Whether anything that a renewal needs was out of order at any moment of that time. */
  impede(rotation: ReadyRotation, from: number, to: number): boolean {
    return (
      this.impedeVaults(rotation, from, to) ||
      this.#world.faults.touches("operator", rotation.name, from, to) ||
      rotation.sources.every((source) => this.#impedeSource(source, from, to))
    );
  }

  /** As far as the vaults go: an instance signs in to them with its identity. */
  impedeVaults(rotation: ReadyRotation, from: number, to: number): boolean {
    return (
      this.#world.faults.touches("identity", identityTarget, from, to) ||
      rotation.outputs.some(
        ({ vault }, index) =>
          vault !== rotation.outputs[index - 1]?.vault &&
          this.#world.faults.touches("vault", vault, from, to),
      )
    );
  }

  /** Whether no source has a token that lives longer than this version's. */
  isLatest({ sources }: ReadyRotation, { expires = 0 }: VaultVersion): boolean {
    const [first] = sources;
    if (first?.kind !== "entra") {
      return false;
    }
    const kept = this.#world.identity.kept(String(first.options.scope), ownSubject);
    return kept !== undefined && kept.expiresAt <= expires * 1000;
  }

  refreshTokens({ sources }: ReadyRotation): readonly KeptRefreshToken[] {
    if (!sources.some((source) => needsOf(source).kept !== undefined)) {
      return [];
    }
    return sources.flatMap((source) => {
      const { kept } = needsOf(source);
      const provider = kept && this.#providerOf(source);
      if (provider === undefined || kept === undefined || provider.newest === undefined) {
        return [];
      }
      const held = this.#world.vault(kept.vault).current(kept.secret)?.value.reveal() ?? "";
      return [
        {
          provider,
          reference: kept,
          stored: held === provider.newest.text,
          accepted: provider.accepts(held),
          couldStore: (from, to) =>
            !this.#world.faults.touches("leases", leasesTarget, from, to) &&
            !this.#world.faults.touches("vault", kept.vault, from, to) &&
            !this.#world.faults.touches("identity", identityTarget, from, to),
        },
      ];
    });
  }

  #impedeSource(source: SourceConfiguration, from: number, to: number): boolean {
    if (source.kind === "entra") {
      return false;
    }
    const provider = this.#providerOf(source);
    const { secrets, kept } = needsOf(source);
    return (
      this.#world.faults.touches("provider", provider?.host ?? source.kind, from, to) ||
      secrets.some(({ vault }) => this.#world.faults.touches("vault", vault, from, to)) ||
      (kept !== undefined &&
        provider?.newest !== undefined &&
        (this.#world.faults.touches("leases", leasesTarget, from, to) ||
          // Somebody has signed in while the tick ran.
          this.#world.vault(kept.vault).touchedAt(kept.secret) >= from ||
          !this.#accepted(provider, kept)))
    );
  }

  #accepted(provider: ProviderModel, { vault, secret }: SecretReference): boolean {
    return provider.accepts(this.#world.vault(vault).current(secret)?.value.reveal() ?? "");
  }

  #providerOf(source: SourceConfiguration): ProviderModel | undefined {
    const { host } = needsOf(source);
    return host === undefined ? undefined : this.#world.findProvider(host);
  }
}

/** What a source needs of the world. */
interface Needs {
  /** Of its provider. */
  readonly host: string | undefined;
  /** What it reads and keeps; the vault is in every reference. */
  readonly secrets: readonly (SecretReference & { readonly vault: string })[];
  /** The one of them that holds its refresh token. */
  readonly kept: (SecretReference & { readonly vault: string }) | undefined;
}

function needsOf(source: SourceConfiguration): Needs {
  const known = needs.get(source);
  if (known !== undefined) {
    return known;
  }
  const { kind, options } = source;
  const address = options.tokenEndpoint ?? options.host ?? options.issuer;
  const references = pluginOf(registries.sources, kind)
    .secrets(options)
    .map(({ reference: { secret, vault = "" }, access, path }) => ({
      reference: { secret, vault },
      keeps: access === "keep" && path.at(-1) === "refreshToken",
    }));
  const made: Needs = {
    host: typeof address === "string" && URL.canParse(address) ? new URL(address).host : undefined,
    secrets: references.map(({ reference }) => reference),
    kept: references.find(({ keeps }) => keeps)?.reference,
  };
  needs.set(source, made);
  return made;
}

/** Every tick asks for that of every source. */
const needs = new WeakMap<SourceConfiguration, Needs>();
