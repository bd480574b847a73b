import type { HolderChange } from "../consumers/containerAppApi.ts";
import type { ArmSecret } from "../local/armSecrets.ts";
import type { VaultVersion } from "../local/vaultSecrets.ts";
import type { SecretValue } from "../secretValue.ts";
import { AppModel } from "./appModel.ts";
import { type Call, type Failure, Faults, type Service } from "./faults.ts";
import { IdentityPlatform } from "./identityModel.ts";
import type { Instance } from "./instance.ts";
import { LeaseModel } from "./leaseModel.ts";
import { ProviderModel, type ProviderPolicy, type Spending } from "./providerModel.ts";
import type { Random } from "./random.ts";
import { IssuedTokens } from "./tokens.ts";
import { VaultModel } from "./vaultModel.ts";
import { VirtualClock } from "./virtualClock.ts";

/** A version that has just come to be. */
export interface Writing {
  readonly vault: VaultModel;
  readonly name: string;
  readonly previous: VaultVersion | undefined;
  readonly version: VaultVersion;
  /** Absent for a person. */
  readonly by: Instance | undefined;
}

/** An update of an app or a job by the rotator, accepted. */
export interface AppUpdate {
  readonly app: AppModel;
  /** The secrets as they were. */
  readonly before: ReadonlyMap<string, ArmSecret>;
  readonly change: HolderChange;
  /** Somebody else changed them after they had been listed for this update. */
  readonly raced: boolean;
}

/** A restart that the rotator has asked for. */
export interface RestartRequest {
  readonly app: AppModel;
  readonly revision: string;
  /** Somebody has scaled the app after its replicas had been listed for this. */
  readonly raced: boolean;
}

/** Who is told what happens in the world. */
export interface Watcher {
  versionWritten(writing: Writing): void;
  /** Enabled, disabled, tagged or recovered. */
  secretChanged(vault: VaultModel, name: string): void;
  appUpdated(update: AppUpdate): void;
  /** Before the restart begins. */
  restartAsked(request: RestartRequest): void;
  refreshTokenSpent(spending: Spending): void;
}

export interface WorldOptions {
  /** Milliseconds since the epoch. */
  readonly startAt: number;
  readonly random: Random;
  /** The longest that a call takes on its way in either direction, in milliseconds. */
  readonly latencyMs: number;
  /** The share of calls that fail, whatever else is wrong; none of them more than twice in a row. */
  readonly noise: number;
  /** Everything that runs in it waits for promises only: see {@link VirtualClock}. */
  readonly promisesOnly: boolean;
}

const hourMs = 60 * 60_000;

/** Azure and the providers beyond it, as a function app sees them. */
export class World {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly faults = new Faults();
  readonly tokens = new IssuedTokens();
  readonly counter: CallCounter;
  readonly identity: IdentityPlatform;
  readonly leases: LeaseModel;
  readonly #options: WorldOptions;
  readonly #noise: Random;
  readonly #latency: Random;
  readonly #vaults = new Map<string, VaultModel>();
  readonly #providers = new Map<string, ProviderModel>();
  readonly #apps = new Map<string, AppModel>();
  /** How often calls have just failed by noise. */
  readonly #inARow = new Map<string, number>();
  #watcher: Watcher | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.clock = new VirtualClock(options.startAt, options.promisesOnly ? process.nextTick : setImmediate);
    this.random = options.random;
    this.#noise = options.random.fork("noise");
    this.#latency = options.random.fork("latency");
    this.counter = new CallCounter(() => this.clock.now());
    this.identity = new IdentityPlatform(this);
    this.leases = new LeaseModel(this);
  }

  watch(watcher: Watcher): void {
    this.#watcher = watcher;
  }

  vault(url: string): VaultModel {
    const known = this.#vaults.get(url);
    if (known !== undefined) {
      return known;
    }
    const made = new VaultModel(this, url);
    this.#vaults.set(url, made);
    return made;
  }

  provider(
    host: string,
    policy: ProviderPolicy = { lifetimeMs: hourMs, refreshTokens: "kept" },
  ): ProviderModel {
    const known = this.#providers.get(host) ?? new ProviderModel(this, host, policy);
    this.#providers.set(host, known);
    return known;
  }

  /** Whether somebody has put that refresh token into a vault. */
  isStored(refreshToken: string): boolean {
    return [...this.#providers.values()].some((provider) => provider.isStored(refreshToken));
  }

  findProvider(host: string): ProviderModel | undefined {
    return this.#providers.get(host);
  }

  get apps(): readonly AppModel[] {
    return [...this.#apps.values()];
  }

  get vaults(): readonly VaultModel[] {
    return [...this.#vaults.values()];
  }

  findApp(id: string): AppModel | undefined {
    return this.#apps.get(id.toLowerCase());
  }

  addApp(id: string, fed: readonly string[], replicas: number): AppModel {
    const app = new AppModel(this, id, fed, replicas);
    this.#apps.set(id.toLowerCase(), app);
    return app;
  }

  /** What a Key Vault reference stands for. */
  readReference(url: string): SecretValue {
    const { origin, pathname } = new URL(url);
    const [, , name = "", version] = pathname.split("/");
    return this.vault(origin).secrets.get(name, version).value;
  }

  latencyMs(): number {
    const { latencyMs } = this.#options;
    return latencyMs === 0 ? 0 : latencyMs * this.#latency.next();
  }

  failureOf(call: Call): Failure | undefined {
    const chance = (share: number) => this.#noise.chance(share);
    const failure =
      this.faults.failureOf(call, this.clock.now(), chance) ??
      (this.#options.noise > 0 ? this.#noiseOf(call) : undefined);
    if (failure !== undefined) {
      this.faults.count(`call: ${failure}`);
    }
    return failure;
  }

  #noiseOf({ service, operation, target, about = "" }: Call): Failure | undefined {
    const key = `${service} ${operation} ${target} ${about}`;
    const inARow = this.#inARow.get(key) ?? 0;
    if (inARow === mostInARow || !this.#noise.chance(this.#options.noise)) {
      this.#inARow.delete(key);
      return undefined;
    }
    this.#inARow.set(key, inARow + 1);
    return this.#noise.pick(noises);
  }

  versionWritten(writing: Writing): void {
    for (const provider of this.#providers.values()) {
      provider.noteStored(writing.version.value.reveal());
    }
    this.#watcher?.versionWritten(writing);
    this.#watcher?.secretChanged(writing.vault, writing.name);
  }

  secretChanged(vault: VaultModel, name: string): void {
    this.#watcher?.secretChanged(vault, name);
  }

  appUpdated(update: AppUpdate): void {
    this.#watcher?.appUpdated(update);
  }

  restartAsked(request: RestartRequest): void {
    this.#watcher?.restartAsked(request);
  }

  refreshTokenSpent(spending: Spending): void {
    this.#watcher?.refreshTokenSpent(spending);
  }
}

/** Noise is what retries are for: it does not last longer than any of them, which would be an outage. */
const mostInARow = 2;
const noises = ["refuses", "throttles", "unreachable", "hangs", "losesAnswers"] as const;

/** How many calls each service had, in the running hour and in all. */
export class CallCounter {
  readonly #now: () => number;
  readonly #ofHour = new Map<Service, number>();
  #all = 0;
  /** When versions were created in each vault, as far as the limit looks back. */
  readonly #creates = new Map<string, number[]>();
  /** The most versions that were begun in one vault within the service's window of 10 seconds. */
  mostCreates = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get all(): number {
    return this.#all;
  }

  count({ service, operation, target }: Call): void {
    this.#all += 1;
    this.#ofHour.set(service, (this.#ofHour.get(service) ?? 0) + 1);
    if (operation === "setSecret") {
      const now = this.#now();
      const recent = (this.#creates.get(target) ?? []).filter((time) => time > now - 10_000);
      recent.push(now);
      this.#creates.set(target, recent);
      this.mostCreates = Math.max(this.mostCreates, recent.length);
    }
  }

  /** What was counted since this was last asked. */
  takeHour(): ReadonlyMap<Service, number> {
    const hour = new Map(this.#ofHour);
    this.#ofHour.clear();
    return hour;
  }
}
