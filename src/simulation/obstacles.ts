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
  /** No instance's clock is off by more. */
  mostSkewMs = 5 * 60_000;

  constructor(world: World) {
    this.#world = world;
  }

  /** Whether anything that a renewal needs was out of order at any moment of that time. */
  impede(rotation: ReadyRotation, from: number, to: number): boolean {
    return (
      this.impedeVaults(rotation, from, to) ||
      this.#touches("operator", rotation.name, from, to) ||
      rotation.sources.every((source) => this.#impedeSource(source, from, to))
    );
  }

  /** As far as the vaults go: an instance signs in to them with its identity. */
  impedeVaults(rotation: ReadyRotation, from: number, to: number): boolean {
    const vaults = new Set(rotation.outputs.map(({ vault }) => vault));
    return (
      this.#touches("identity", identityTarget, from, to) ||
      [...vaults].some((vault) => this.#touches("vault", vault, from, to))
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

  refreshTokens({ sources }: ReadyRotation): KeptRefreshToken[] {
    return sources.flatMap((source) => {
      const provider = this.#providerOf(source);
      const kept = secretsOf(source).find(({ keeps }) => keeps);
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
            !this.#touches("leases", leasesTarget, from, to) &&
            !this.#touches("vault", kept.vault, from, to) &&
            !this.#touches("identity", identityTarget, from, to),
        },
      ];
    });
  }

  #impedeSource(source: SourceConfiguration, from: number, to: number): boolean {
    if (source.kind === "entra") {
      return false;
    }
    const provider = this.#providerOf(source);
    const kept = secretsOf(source).find(({ keeps }) => keeps);
    return (
      this.#touches("provider", provider?.host ?? source.kind, from, to) ||
      secretsOf(source).some(({ vault }) => this.#touches("vault", vault, from, to)) ||
      (kept !== undefined &&
        provider?.newest !== undefined &&
        (this.#touches("leases", leasesTarget, from, to) ||
          // Somebody has signed in while the tick ran.
          this.#world.vault(kept.vault).touchedAt(kept.secret) >= from ||
          !this.#accepted(provider, kept)))
    );
  }

  #accepted(provider: ProviderModel, { vault, secret }: SecretReference): boolean {
    return provider.accepts(this.#world.vault(vault).current(secret)?.value.reveal() ?? "");
  }

  #providerOf({ options }: SourceConfiguration): ProviderModel | undefined {
    const address = options.tokenEndpoint ?? options.host ?? options.issuer;
    return typeof address === "string" && URL.canParse(address)
      ? this.#world.findProvider(new URL(address).host)
      : undefined;
  }

  #touches(...outage: Parameters<World["faults"]["touches"]>): boolean {
    return this.#world.faults.touches(...outage);
  }
}

/** Every secret that the source reads or keeps; the vault is in every reference. */
function secretsOf({ kind, options }: SourceConfiguration): (SecretReference & { keeps: boolean })[] {
  return pluginOf(registries.sources, kind)
    .secrets(options)
    .map(({ reference: { secret, vault = "" }, access, path }) => ({
      secret,
      vault,
      keeps: access === "keep" && path.at(-1) === "refreshToken",
    }));
}
