import type { OutputConfiguration, ReadyRotation } from "../config/configuration.ts";
import { EmbeddedContainerApp } from "../local/embeddedContainerApp.ts";
import { type AppModel, contentOf } from "./appModel.ts";
import type { AppUpdated, ConsumerFacts, RestartAsked } from "./invariants.ts";
import type { Obstacles } from "./obstacles.ts";
import { heldIn, type Readers } from "./readers.ts";
import type { Runs } from "./runs.ts";
import type { AppUpdate, RestartRequest, World } from "./world.ts";

/** What has happened since the rotator last gave an app another value. Times in milliseconds since the epoch. */
interface SinceChange {
  changedAt: number;
  /** How often a restart was asked for, and when last. */
  times: number;
  at: number;
  /** Setbacks of all runs at that time. */
  setbacksBefore: number;
  /** Ticks that said that the app was not served, and restarts while two runs were under way. */
  failures: number;
  /** A restart was asked for because an update had failed: to ask once more for it is no other matter. */
  afterFailure: boolean;
  /** A person made the new value unreadable while the app was given a reference to it. */
  unread: boolean;
}

/** What the rotator has done to each app, compared with what the app holds and runs. */
export class AppHistory {
  /** Restarts and new revisions, by app. */
  readonly restarts = new Map<AppModel, number>();
  readonly #world: World;
  readonly #obstacles: Obstacles;
  readonly #readers: Readers;
  readonly #runs: Runs;
  readonly #since = new Map<AppModel, SinceChange>();
  /** When the rotator last gave the app another value of each secret. */
  readonly #gaveAt = new Map<AppModel, Map<string, number>>();
  readonly #restartedAt = new Map<AppModel, number>();
  #kills = 0;

  constructor(world: World, obstacles: Obstacles, readers: Readers, runs: Runs) {
    this.#world = world;
    this.#obstacles = obstacles;
    this.#readers = readers;
    this.#runs = runs;
  }

  runKilled(): void {
    this.#kills += 1;
  }

  /** A tick has said that the app was not served. */
  consumerFailed(id: string): void {
    const app = this.#world.findApp(id);
    const since = app && this.#since.get(app);
    if (since !== undefined) {
      since.failures += 1;
    }
  }

  /** `undefined` where the update concerned no secrets. */
  updated(
    { app, before, change, raced }: AppUpdate,
    rotations: readonly ReadyRotation[],
  ): AppUpdated | undefined {
    const observed =
      change.secrets === undefined
        ? undefined
        : this.#secretsUpdated({ app, before, change, raced }, rotations);
    if (app.resource.updates.outcome === "fails") {
      app.failedAt = this.#world.clock.now();
    }
    if (change.revisionSuffix !== undefined) {
      this.#countRestart(app);
    }
    const { durationMs } = app.resource.updates;
    this.#lookIn(durationMs + 1, app);
    this.#lookIn(durationMs + replacingMs(app), app);
    return observed;
  }

  #secretsUpdated({ app, before, raced }: AppUpdate, rotations: readonly ReadyRotation[]): AppUpdated {
    const after = new Map(app.resource.secrets.configured.map((secret) => [secret.name, secret]));
    const others = [...before].filter(([name]) => !app.fed.includes(name));
    const changed = app.fed.filter((name) => {
      const had = before.get(name);
      return had === undefined || contentOf(had) !== app.configured(name);
    });
    const now = this.#world.clock.now();
    const gaveAt = this.#gaveAt.get(app) ?? new Map<string, number>();
    this.#gaveAt.set(app, gaveAt);
    for (const name of changed) {
      gaveAt.set(name, now);
    }
    if (changed.length > 0) {
      this.#since.set(app, {
        changedAt: now,
        times: 0,
        at: now,
        setbacksBefore: this.#setbacks(),
        failures: 0,
        afterFailure: false,
        unread: false,
      });
    }
    return {
      kind: "appUpdated",
      consumer: app.id,
      altered: others.flatMap(([name, secret]) => {
        const now = after.get(name);
        return now !== undefined && contentOf(now) === contentOf(secret) ? [] : [name];
      }),
      older: app.fed.filter((name) => this.#isOlder(app, name, before.get(name), rotations)),
      raced: raced || this.#runs.overlap(),
    };
  }

  /** `undefined` for a job, which is never restarted. */
  restartAsked({ app, revision, raced }: RestartRequest): RestartAsked | undefined {
    const { resource } = app;
    if (!(resource instanceof EmbeddedContainerApp)) {
      return undefined;
    }
    resource.settle();
    const replicas = resource.revisions.find(({ name }) => name === revision)?.replicas ?? [];
    const current = replicas.filter(({ environment }) =>
      app.fed.every((name) => environment.get(name) === resource.secrets.valueOf(name) && app.hasTaken(name)),
    );
    const isOverlapping = this.#runs.overlap();
    const since = this.#since.get(app) ?? {
      changedAt: Number.NEGATIVE_INFINITY,
      times: 0,
      at: Number.NEGATIVE_INFINITY,
      setbacksBefore: this.#setbacks(),
      failures: 0,
      afterFailure: false,
      unread: false,
    };
    const now = this.#world.clock.now();
    const replacingForMs = since.times === 0 ? undefined : now - since.at;
    since.times += 1;
    since.at = now;
    since.failures += isOverlapping ? 1 : 0;
    this.#since.set(app, since);
    this.#countRestart(app);
    since.afterFailure ||= app.failedAt >= (this.#restartedAt.get(app) ?? 0);
    this.#restartedAt.set(app, now);
    this.#lookIn(replacingMs(app), app);
    return {
      kind: "restartAsked",
      consumer: app.id,
      old: replicas.length - current.length,
      replacingForMs,
      asked: since.times,
      overlapping: isOverlapping,
      raced,
      afterFailure: since.afterFailure,
      setbacks: this.#setbacks() - since.setbacksBefore + since.failures,
    };
  }

  /** How the apps stand that the rotation feeds, when a tick ends that took from `from` to `to`. */
  consumersOf(rotation: ReadyRotation, from: number, to: number): ConsumerFacts[] {
    return rotation.consumers.flatMap((consumer) => {
      const app = this.#world.findApp(String(consumer.app ?? consumer.job ?? ""));
      const output = rotation.outputs.find(({ secret }) => secret === consumer.output);
      if (app === undefined || output === undefined) {
        return [];
      }
      return this.#consumer(rotation, output, app, consumer.secret, consumer.restart !== "none", from, to);
    });
  }

  #consumer(
    rotation: ReadyRotation,
    output: OutputConfiguration,
    app: AppModel,
    secret: string,
    restarts: boolean,
    from: number,
    to: number,
  ): ConsumerFacts[] {
    const current = this.#world.vault(output.vault).current(output.secret);
    if (current === undefined || !current.enabled) {
      return [];
    }
    if (heldIn(this.#world, current, rotation.name) === undefined) {
      return [];
    }
    const changedAt = this.#changedAt(app);
    const gaveAt = this.#gaveAt.get(app)?.get(secret) ?? this.#world.clock.now();
    if (app.revertedAt >= gaveAt || app.failedAt >= changedAt) {
      // Neither is noticed in full: the rotator goes by its notes at the app, and those are still there.
      return [];
    }
    const value = current.value.reveal();
    const configured = app.configured(secret);
    const behind =
      configured !== value && configured !== `${output.vault}/secrets/${output.secret}/${current.id}`;
    const inUse = app.valuesInUse(secret);
    const since = this.#since.get(app);
    if (since !== undefined && !behind && !app.resource.busy && !app.hasTaken(secret)) {
      since.unread = true;
    }
    if (since?.unread) {
      // The platform tells of no failure, and when it reads the reference after all, nothing is restarted.
      return [];
    }
    return [
      {
        consumer: app.id,
        behind,
        old: !behind && restarts && inUse.length > 0 && !inUse.includes(value),
        clear:
          !this.#world.faults.touches("apps", app.id, Math.min(from, changedAt), to) &&
          !this.#obstacles.impedeVaults(rotation, from, to),
      },
    ];
  }

  #isOlder(
    app: AppModel,
    name: string,
    before: Parameters<typeof contentOf>[0] | undefined,
    rotations: readonly ReadyRotation[],
  ): boolean {
    const now = app.configured(name);
    const had = before === undefined ? undefined : this.#readers.tokenOf(contentOf(before));
    const has = this.#readers.tokenOf(now);
    if (had === undefined || has === undefined || has.expiresAt >= had.expiresAt) {
      return false;
    }
    return !rotations.some((rotation) =>
      rotation.outputs.some(
        ({ vault, secret }) => this.#world.vault(vault).current(secret)?.value.reveal() === now,
      ),
    );
  }

  /**
   * When the rotator last gave the app another value. An app that was asked to restart in vain, twice, is left alone from then
   * on; and one that somebody else gave the old value back is not noticed.
   */
  #changedAt(app: AppModel): number {
    return this.#since.get(app)?.changedAt ?? this.#world.clock.now();
  }

  #setbacks(): number {
    return this.#kills + (this.#world.faults.injected.get("call: losesAnswers") ?? 0);
  }

  #countRestart(app: AppModel): void {
    this.restarts.set(app, (this.restarts.get(app) ?? 0) + 1);
  }

  #lookIn(ms: number, app: AppModel): void {
    void this.#world.clock.sleep(ms).then(() => this.#readers.look(app));
  }
}

/** How long the platform takes to replace replicas. */
function replacingMs({ resource }: AppModel): number {
  if (!(resource instanceof EmbeddedContainerApp)) {
    return 1;
  }
  const { readyMs, drainMs } = resource.replicaBehaviour;
  return readyMs + drainMs + 1;
}
