import type { Configuration, OutputConfiguration, ReadyRotation } from "../config/configuration.ts";
import { belongsTo, pausedUntil, tagNames } from "../core/tags.ts";
import { outcomes, type TelemetryEvent } from "../events.ts";
import { EmbeddedContainerApp } from "../local/embeddedContainerApp.ts";
import type { VaultVersion } from "../local/vaultSecrets.ts";
import { type AppModel, contentOf } from "./appModel.ts";
import { callBounds } from "./bounds.ts";
import type { Instance } from "./instance.ts";
import {
  type ConsumerFacts,
  type InvariantName,
  type Observation,
  type OutputState,
  type VersionFacts,
  violationsOf,
} from "./invariants.ts";
import { Obstacles } from "./obstacles.ts";
import type { Spending } from "./providerModel.ts";
import { type Held, heldIn, Readers, type Serving } from "./readers.ts";
import type { VaultModel } from "./vaultModel.ts";
import type { AppUpdate, Watcher, World, Writing } from "./world.ts";

/** Something that must never be and was. */
export interface Violation {
  readonly invariant: InvariantName;
  readonly what: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The rotation, app or provider that it is about. */
  readonly where: string;
}

/** One run of the engine, by the timer or by a person. */
export interface Run {
  readonly instance: Instance;
  readonly by: "timer" | "person";
  readonly startedAt: number;
  readonly events: readonly TelemetryEvent[];
}

interface PastTick {
  readonly startedAt: number;
  readonly endedAt: number;
  /** Names of rotations, and ids of apps, that nothing stood in the way of. */
  readonly clear: ReadonlySet<string>;
}

/** Ticks are remembered as far back as a token can live. */
const rememberedMs = 30 * 60 * 60_000;
/** The schedule's jitter makes a renewal earlier by at most this share of the lifetime. */
const jitterShare = 0.05;

/** Sees all that happens, compares it with the truth in the models, and finds what must never be. */
export class Observer implements Watcher {
  readonly readers: Readers;
  readonly violations: Violation[] = [];
  /** Restarts and new revisions, by app. */
  readonly restarts = new Map<AppModel, number>();
  /** How many observations were judged, by kind; `clear tick`: of a rotation that nothing stood in the way of. */
  readonly judged = new Map<Observation["kind"] | "clear tick", number>();
  readonly #world: World;
  readonly #obstacles: Obstacles;
  readonly #runs = new Set<Run>();
  /** Also of an instance whose run has ended: what it has left behind may still write. */
  readonly #latestRun = new WeakMap<Instance, Run>();
  readonly #owners = new Map<string, { rotation: ReadyRotation; output: OutputConfiguration }>();
  #configuration: Configuration | undefined;
  #ready: readonly ReadyRotation[] = [];
  #past: PastTick[] = [];
  /** When two runs were last under way at the same time. */
  #overlappedAt = Number.NEGATIVE_INFINITY;
  /** Outputs that had a reason of their own to be written when the latest run began; of rotations with several only. */
  #needy: ReadonlySet<OutputConfiguration> = new Set();
  /** What this tick wrote only because another output needed it. */
  #comeAlong: { rotation: ReadyRotation; output: OutputConfiguration }[] = [];
  /** Outputs that were written so, and in vain, since the outputs of their rotation last held one token. */
  readonly #inVain = new Map<string, ReadonlySet<string>>();
  /** Since the rotator last gave the app another value: how often it asked for a restart, and when last. */
  readonly #asked = new Map<
    AppModel,
    { times: number; at: number; setbacksBefore: number; failures: number; changedAt: number }
  >();
  readonly #restartedAt = new Map<AppModel, number>();
  #kills = 0;
  #ticksOfHour = 0;
  /** Configurations that were in force earlier in this hour. */
  #ofHour: Configuration[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#obstacles = new Obstacles(world);
    this.readers = new Readers(world, (serving) => this.#served(serving));
    world.watch(this);
  }

  follow(configuration: Configuration): void {
    if (this.#configuration !== undefined) {
      this.#ofHour.push(this.#configuration);
    }
    this.#configuration = configuration;
    this.#ready = configuration.rotations.filter((rotation) => rotation.state === "ready");
    this.#owners.clear();
    for (const rotation of this.#ready) {
      for (const output of rotation.outputs) {
        this.#owners.set(keyOf(output.vault, output.secret), { rotation, output });
      }
    }
    // What was due by the old configuration need not be by the new one.
    this.#past = [];
    this.readers.follow(this.#ready);
  }

  runBegan(run: Run): void {
    this.#runs.add(run);
    this.#latestRun.set(run.instance, run);
    const now = run.instance.clock.now();
    const several = this.#ready.filter(({ outputs }) => outputs.length > 1);
    this.#needy = new Set(
      several.flatMap((rotation) =>
        rotation.outputs.filter((output) => this.#needs(rotation, output, now, run.instance.skewMs)),
      ),
    );
    if (this.#runs.size > 1) {
      this.#overlappedAt = this.#world.clock.now();
    }
    if (run.by === "timer") {
      this.#ticksOfHour += 1;
      this.#comeAlong = [];
    }
  }

  runKilled(run: Run): void {
    this.#runs.delete(run);
    this.#kills += 1;
  }

  runEnded(run: Run): void {
    this.#runs.delete(run);
    for (const app of this.#world.apps) {
      this.readers.look(app);
    }
    if (run.by === "person") {
      return;
    }
    for (const { name, properties } of run.events) {
      if (name === "ConsumerFailed") {
        const app = this.#world.findApp(properties.consumer);
        const asked = app && this.#asked.get(app);
        if (asked !== undefined) {
          asked.failures += 1;
        }
      }
    }
    const clear = new Set<string>();
    const events = Map.groupBy(run.events.filter(isOutcome), ({ properties }) => properties.rotation);
    for (const rotation of this.#configuration?.rotations ?? []) {
      const observed = this.#tickOf(rotation.name, run, events.get(rotation.name) ?? []);
      this.#judge(rotation.name, observed);
      if (observed.clear) {
        this.judged.set("clear tick", (this.judged.get("clear tick") ?? 0) + 1);
      }
      if (observed.clear && observed.outputs.every(({ latest }) => !latest)) {
        clear.add(rotation.name);
      }
      for (const consumer of observed.consumers) {
        if (consumer.clear) {
          clear.add(consumer.consumer);
        }
      }
    }
    const endedAt = this.#world.clock.now();
    this.#past = this.#past.filter(({ startedAt }) => startedAt > endedAt - rememberedMs);
    this.#past.push({ startedAt: run.startedAt, endedAt, clear });
  }

  hourPassed(): void {
    const { counter } = this.#world;
    const configuration = this.#configuration;
    if (configuration !== undefined) {
      const ticks = this.#ticksOfHour;
      this.#judge("", {
        kind: "hourPassed",
        calls: counter.takeHour(),
        bounds: callBounds([...this.#ofHour, configuration], ticks),
        ticks,
        // One may be late and fall into the hour beside its own.
        ticksExpected: Math.max(
          ...[...this.#ofHour, configuration].map(({ tickMs }) => Math.ceil(hourMs / tickMs) + 1),
        ),
        mostCreates: counter.mostCreates,
      });
    }
    this.#ticksOfHour = 0;
    this.#ofHour = [];
  }

  versionWritten({ vault, name, previous, version, by }: Writing): void {
    const owner = this.#owners.get(keyOf(vault.url, name));
    if (owner === undefined) {
      return;
    }
    const { rotation, output } = owner;
    this.readers.versionWritten(version, rotation.name);
    const run = by && this.#latestRun.get(by);
    if (by === undefined || run === undefined) {
      return;
    }
    const now = by.clock.now();
    const held = previous === undefined ? undefined : heldIn(this.#world, previous, rotation.name);
    const dueFrom = held === undefined ? now : earliestDue(held, rotation) - Math.abs(by.skewMs);
    const needed = rotation.outputs.some(
      (other) => other !== output && (this.#needy.has(other) || this.#needs(rotation, other, now, by.skewMs)),
    );
    const facts = this.#factsOf(version, rotation.name);
    const { refreshToken } = this.#world.tokens.find(facts.token) ?? {};
    const before = previous === undefined ? undefined : this.#factsOf(previous, rotation.name);
    const isDue = now >= dueFrom || before?.enabled !== true || before.spec !== facts.spec || !before.ours;
    if (!isDue && needed) {
      this.#comeAlong.push({ rotation, output });
    }
    this.#judge(rotation.name, {
      kind: "written",
      rotation: rotation.name,
      output: name,
      previous: before,
      version: facts,
      dueFrom,
      now,
      adopt: output.adopt,
      subjectAccepted: rotation.expect?.subject !== undefined,
      paused: this.#isPaused(rotation, now) || isPausedBy(previous?.tags, now),
      neededByOther: needed,
      forced: run.by === "person",
      disturbed:
        this.#isOverlapping(run.startedAt) ||
        rotation.outputs.some(
          (each) => this.#world.vault(each.vault).touchedAt(each.secret) >= run.startedAt,
        ),
      refreshTokenStored:
        refreshToken === undefined ||
        this.#world.isStored(refreshToken) ||
        // Somebody has signed in meanwhile: theirs stays.
        this.#obstacles
          .refreshTokens(rotation)
          .some(
            ({ reference: kept }) => this.#world.vault(kept.vault).touchedAt(kept.secret) >= run.startedAt,
          ),
    });
  }

  secretChanged(vault: VaultModel, name: string): void {
    this.readers.secretChanged(vault, name);
  }

  appUpdated({ app, before, change, raced }: AppUpdate): void {
    const { clock } = this.#world;
    if (change.secrets !== undefined) {
      const after = new Map(app.resource.secrets.configured.map((secret) => [secret.name, secret]));
      const others = [...before].filter(([name]) => !app.fed.includes(name));
      const changed = app.fed.some((name) => {
        const had = before.get(name);
        return had === undefined || contentOf(had) !== app.configured(name);
      });
      if (changed) {
        const now = clock.now();
        this.#asked.set(app, {
          times: 0,
          at: now,
          setbacksBefore: this.#setbacks(),
          failures: 0,
          changedAt: now,
        });
      }
      this.#judge(app.id, {
        kind: "appUpdated",
        consumer: app.id,
        altered: others.flatMap(([name, secret]) => {
          const now = after.get(name);
          return now !== undefined && contentOf(now) === contentOf(secret) ? [] : [name];
        }),
        older: app.fed.filter((name) => this.#isOlder(app, name, before.get(name))),
        raced: raced || this.#isOverlapping(),
      });
    }
    if (app.resource.updates.outcome === "fails") {
      app.failedAt = clock.now();
    }
    if (change.revisionSuffix !== undefined) {
      this.#countRestart(app);
    }
    const { durationMs } = app.resource.updates;
    void clock.sleep(durationMs + 1).then(() => this.readers.look(app));
    void clock.sleep(durationMs + replacingMs(app)).then(() => this.readers.look(app));
  }

  restartAsked(app: AppModel, revision: string): void {
    const { resource } = app;
    if (!(resource instanceof EmbeddedContainerApp)) {
      return;
    }
    resource.settle();
    const replicas = resource.revisions.find(({ name }) => name === revision)?.replicas ?? [];
    const isCurrent = ({ environment }: (typeof replicas)[number]) =>
      app.fed.every((name) => environment.get(name) === resource.secrets.valueOf(name));
    const current = replicas.filter(isCurrent);
    const isOverlapping = this.#isOverlapping();
    const asked = this.#asked.get(app) ?? {
      times: 0,
      at: Number.NEGATIVE_INFINITY,
      setbacksBefore: this.#setbacks(),
      failures: 0,
      changedAt: Number.NEGATIVE_INFINITY,
    };
    const now = this.#world.clock.now();
    const replacingForMs = asked.times === 0 ? undefined : now - asked.at;
    asked.times += 1;
    asked.at = now;
    asked.failures += isOverlapping ? 1 : 0;
    this.#asked.set(app, asked);
    this.#countRestart(app);
    this.#judge(app.id, {
      kind: "restartAsked",
      consumer: app.id,
      old: replicas.length - current.length,
      replacingForMs,
      asked: asked.times,
      overlapping: isOverlapping,
      afterFailure: app.failedAt >= (this.#restartedAt.get(app) ?? Number.NEGATIVE_INFINITY),
      setbacks: this.#setbacks() - asked.setbacksBefore + asked.failures,
    });
    this.#restartedAt.set(app, this.#world.clock.now());
    void this.#world.clock.sleep(replacingMs(app)).then(() => this.readers.look(app));
  }

  refreshTokenSpent({ provider, before, knownSpent }: Spending): void {
    const oneTime = provider.policy.refreshTokens === "oneTime";
    const { host } = provider;
    this.#judge(host, { kind: "refreshTokenSpent", provider: host, before, knownSpent, oneTime });
  }

  #served({ reader, held, at }: Serving): void {
    const { rotation, name, app } = reader;
    const overdueMs = at - held.expiresAt;
    this.#judge(rotation.name, {
      kind: "served",
      rotation: rotation.name,
      reader: name,
      overdueMs,
      preventable:
        overdueMs > 0 && this.#couldPrevent(reader.rotation, held, reader.propagationMs, app?.model),
    });
  }

  /** Whether a tick that nothing stood in the way of had the time to replace the token. */
  #couldPrevent(
    rotation: ReadyRotation,
    held: Held,
    propagationMs: number,
    app: AppModel | undefined,
  ): boolean {
    const due = latestDue(held, rotation) + this.#obstacles.mostSkewMs;
    const until = held.expiresAt - propagationMs;
    return this.#past.some(
      ({ startedAt, endedAt, clear }) =>
        startedAt >= due &&
        endedAt <= until &&
        !this.#world.faults.touches("operator", rotation.name, startedAt, endedAt + propagationMs) &&
        clear.has(rotation.name) &&
        (app === undefined || clear.has(app.id)),
    );
  }

  #tickOf(
    name: string,
    run: Run,
    events: readonly TelemetryEvent[],
  ): Extract<Observation, { readonly kind: "tickEnded" }> {
    const rotation = this.#ready.find((candidate) => candidate.name === name);
    const base = { kind: "tickEnded", rotation: name, events } as const;
    if (rotation === undefined) {
      return {
        ...base,
        paused: false,
        clear: false,
        outputs: [],
        consumers: [],
        writtenInVain: [],
        refreshTokenLost: false,
      };
    }
    const endedAt = this.#world.clock.now();
    const now = run.instance.clock.now();
    const startedBy = run.startedAt + run.instance.skewMs;
    const refreshTokens = this.#obstacles.refreshTokens(rotation);
    const paused = this.#isPaused(rotation, startedBy);
    // What a person, or another run, has done while the tick ran is for the next one.
    const isOverlapping = this.#isOverlapping(run.startedAt);
    const untouched = rotation.outputs.filter(
      ({ vault, secret }) => !isOverlapping && this.#world.vault(vault).touchedAt(secret) < run.startedAt,
    );
    const isDisturbed = untouched.length < rotation.outputs.length;
    const isFresh = events.some(
      ({ properties }) => "outcome" in properties && properties.outcome === "Fresh",
    );
    return {
      ...base,
      paused,
      clear: !paused && !this.#obstacles.impede(rotation, run.startedAt, endedAt) && !isOverlapping,
      outputs: untouched.map((output) => ({
        output: output.secret,
        ...this.#stateOf(rotation, output, startedBy, now),
      })),
      // What a paused rotation feeds is left alone too.
      consumers: isDisturbed || paused ? [] : this.#consumersOf(rotation, run.startedAt, endedAt),
      writtenInVain: this.#writtenInVain(
        rotation,
        isDisturbed || this.#obstacles.impedeVaults(rotation, run.startedAt, endedAt),
      ),
      // Where a fallback has made the rotation fresh, the next renewal stores it.
      refreshTokenLost:
        !isFresh &&
        !paused &&
        refreshTokens.some(
          ({ provider, stored, couldStore }) =>
            !stored && couldStore(run.startedAt, endedAt) && provider.newest?.holder === run.instance,
        ),
    };
  }

  /**
   * Outputs that for the second time in a row got a version for the sake of another one that did not get the same token. Once
   * may happen: which of them cannot be written shows only when it is tried.
   */
  #writtenInVain(rotation: ReadyRotation, isExcused: boolean): string[] {
    const tokens = new Set(rotation.outputs.map((output) => this.#tokenOf(output)));
    if (isExcused || tokens.size === 1) {
      this.#inVain.delete(rotation.name);
      return [];
    }
    const written = this.#comeAlong.filter((one) => one.rotation === rotation);
    const before = this.#inVain.get(rotation.name) ?? new Set();
    const again = written.filter(({ output }) => before.has(output.secret));
    this.#inVain.set(rotation.name, new Set([...before, ...written.map(({ output }) => output.secret)]));
    return again.map(({ output }) => output.secret);
  }

  #stateOf(
    rotation: ReadyRotation,
    output: OutputConfiguration,
    tickStartedAt: number,
    now: number,
  ): Pick<OutputState, "state" | "latest"> {
    const current = this.#world.vault(output.vault).current(output.secret);
    if (current === undefined) {
      return { state: "missing", latest: false };
    }
    const held = heldIn(this.#world, current, rotation.name);
    if (held === undefined) {
      return { state: "foreign", latest: false };
    }
    if (!current.enabled) {
      return { state: "disabled", latest: false };
    }
    if (held.recordedExpiry <= now) {
      return { state: "expired", latest: false };
    }
    if (current.tags?.[tagNames.spec] !== output.spec) {
      return { state: "outdated", latest: false };
    }
    if (latestDue(held, rotation) > tickStartedAt) {
      return { state: "good", latest: false };
    }
    const isEndangered = held.recordedExpiry - rotation.floorMs <= tickStartedAt;
    return {
      state: isEndangered ? "endangered" : "overdue",
      latest: this.#obstacles.isLatest(rotation, current),
    };
  }

  #consumersOf(rotation: ReadyRotation, from: number, to: number): ConsumerFacts[] {
    return rotation.consumers.flatMap((consumer) => {
      const app = this.#world.findApp(String(consumer.app ?? consumer.job ?? ""));
      const output = rotation.outputs.find(({ secret }) => secret === consumer.output);
      const current = output && this.#world.vault(output.vault).current(output.secret);
      if (app === undefined || output === undefined || current === undefined || !current.enabled) {
        return [];
      }
      if (heldIn(this.#world, current, rotation.name) === undefined) {
        return [];
      }
      if (Math.max(app.revertedAt, app.failedAt) >= this.#changedAt(app)) {
        // Neither is noticed in full: the rotator goes by its notes at the app, and those are still there.
        return [];
      }
      const value = current.value.reveal();
      const configured = app.configured(consumer.secret);
      const behind =
        configured !== value && configured !== `${output.vault}/secrets/${output.secret}/${current.id}`;
      const inUse = app.valuesInUse(consumer.secret);
      const restarts = consumer.restart !== "none";
      return [
        {
          consumer: app.id,
          behind,
          old: !behind && restarts && inUse.length > 0 && !inUse.includes(value),
          clear:
            !this.#world.faults.touches("apps", app.id, Math.min(from, this.#changedAt(app)), to) &&
            !this.#obstacles.impedeVaults(rotation, from, to),
        },
      ];
    });
  }

  /** Whether the output has a reason of its own to be written. */
  #needs(rotation: ReadyRotation, output: OutputConfiguration, now: number, skewMs: number): boolean {
    const current = this.#world.vault(output.vault).current(output.secret);
    const held = current && heldIn(this.#world, current, rotation.name);
    return (
      held === undefined ||
      !current?.enabled ||
      current.tags?.[tagNames.spec] !== output.spec ||
      now >= earliestDue(held, rotation) - Math.abs(skewMs) ||
      new Set(rotation.outputs.map((each) => this.#tokenOf(each))).size > 1
    );
  }

  #tokenOf({ vault, secret }: OutputConfiguration): string | undefined {
    return this.#world.vault(vault).current(secret)?.tags?.[tagNames.token];
  }

  #factsOf({ tags = {}, enabled, expires = 0 }: VaultVersion, rotation: string): VersionFacts {
    return {
      ours: belongsTo({ name: "", enabled, tags }, rotation),
      enabled,
      spec: tags[tagNames.spec],
      token: tags[tagNames.token],
      content: tags[tagNames.content],
      operation: tags.operation,
      expiresAt: this.#world.tokens.find(tags[tagNames.token])?.expiresAt ?? expires * 1000,
      subject: this.#world.tokens.find(tags[tagNames.token])?.subject,
    };
  }

  #isPaused(rotation: ReadyRotation, now: number): boolean {
    if (rotation.paused !== undefined && now < (rotation.paused.until ?? Number.POSITIVE_INFINITY)) {
      return true;
    }
    return rotation.outputs.some(({ vault, secret }) => {
      const current = this.#world.vault(vault).current(secret);
      return (
        isPausedBy(current?.tags, now) &&
        current !== undefined &&
        heldIn(this.#world, current, rotation.name) !== undefined
      );
    });
  }

  #isOlder(app: AppModel, name: string, before: Parameters<typeof contentOf>[0] | undefined): boolean {
    const now = app.configured(name);
    const had = before === undefined ? undefined : this.readers.tokenOf(contentOf(before));
    const has = this.readers.tokenOf(now);
    if (had === undefined || has === undefined || has.expiresAt >= had.expiresAt) {
      return false;
    }
    return !this.#ready.some((rotation) =>
      rotation.outputs.some(({ vault, secret }) => {
        const current = this.#world.vault(vault).current(secret);
        return current?.value.reveal() === now;
      }),
    );
  }

  /** Two runs are under way, or were at any moment since then. */
  #isOverlapping(since = Math.min(...[...this.#runs].map(({ startedAt }) => startedAt))): boolean {
    return this.#runs.size > 1 || this.#overlappedAt >= since;
  }

  /**
   * When the rotator last gave the app another value. An app that was asked to restart in vain, twice, is left alone from then
   * on; and one that somebody else gave the old value back is not noticed.
   */
  #changedAt(app: AppModel): number {
    return this.#asked.get(app)?.changedAt ?? this.#world.clock.now();
  }

  #setbacks(): number {
    return this.#kills + (this.#world.faults.injected.get("call: losesAnswers") ?? 0);
  }

  #countRestart(app: AppModel): void {
    this.restarts.set(app, (this.restarts.get(app) ?? 0) + 1);
  }

  #judge(where: string, observation: Observation): void {
    this.judged.set(observation.kind, (this.judged.get(observation.kind) ?? 0) + 1);
    for (const [invariant, what] of violationsOf(observation)) {
      this.violations.push({ invariant, what, where, at: this.#world.clock.now() });
    }
  }
}

const outcomeEvents: ReadonlySet<string> = new Set(Object.values(outcomes));

/** Whether it tells what became of a rotation. */
function isOutcome(event: TelemetryEvent): event is Extract<TelemetryEvent, { readonly name: OutcomeEvent }> {
  return outcomeEvents.has(event.name);
}

type OutcomeEvent = (typeof outcomes)[keyof typeof outcomes];

const hourMs = 60 * 60_000;

/** From here on the schedule may call it due. */
function earliestDue(held: Held, rotation: ReadyRotation): number {
  const lifetime = Math.max(0, held.recordedExpiry - held.recordedIssue);
  return latestDue(held, rotation) - lifetime * jitterShare - 1_000;
}

/** From here on it must. */
function latestDue({ recordedExpiry, recordedIssue }: Held, { marginMs, floorMs }: ReadyRotation): number {
  const lifetime = Math.max(0, recordedExpiry - recordedIssue);
  return recordedExpiry - Math.max(marginMs ?? lifetime / 3, floorMs);
}

function isPausedBy(tags: Readonly<Record<string, string>> = {}, now: number): boolean {
  const until = tags[tagNames.pausedUntil] && pausedUntil({ name: "", enabled: true, tags });
  return until !== undefined && until !== "" && now < until;
}

/** How long the platform takes to replace replicas. */
function replacingMs({ resource }: AppModel): number {
  if (!(resource instanceof EmbeddedContainerApp)) {
    return 1;
  }
  const { readyMs, drainMs } = resource.replicaBehaviour;
  return readyMs + drainMs + 1;
}

function keyOf(vault: string, secret: string): string {
  return `${vault}/secrets/${secret}`.toLowerCase();
}
