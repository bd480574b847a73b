import type { Configuration, OutputConfiguration, ReadyRotation } from "../config/configuration.ts";
import { outcomes, type TelemetryEvent } from "../events.ts";
import { AppHistory } from "./appHistory.ts";
import type { AppModel } from "./appModel.ts";
import { callBounds } from "./bounds.ts";
import { earliestDue } from "./dueTimes.ts";
import {
  type InvariantName,
  type Observation,
  type TickEnded,
  violationsOf,
  type Written,
} from "./invariants.ts";
import { Obstacles } from "./obstacles.ts";
import { isPausedBy, OutputFacts } from "./outputFacts.ts";
import { clearWay, PastTicks } from "./pastTicks.ts";
import type { Spending } from "./providerModel.ts";
import { heldIn, Readers, type Serving } from "./readers.ts";
import { type Run, Runs } from "./runs.ts";
import type { VaultModel } from "./vaultModel.ts";
import type { AppUpdate, RestartRequest, Watcher, World, Writing } from "./world.ts";
import { WrittenInVain } from "./writtenInVain.ts";

/** Something that must never be and was. */
export interface Violation {
  readonly invariant: InvariantName;
  readonly what: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The rotation, app or provider that it is about. */
  readonly where: string;
}

const hourMs = 60 * 60_000;

/** Sees all that happens, compares it with the truth in the models, and finds what must never be. */
export class Observer implements Watcher {
  readonly readers: Readers;
  readonly violations: Violation[] = [];
  /** How many observations were judged, by kind; `clear tick`: of a rotation that nothing stood in the way of. */
  readonly judged = new Map<Observation["kind"] | "clear tick", number>();
  readonly #world: World;
  readonly #obstacles: Obstacles;
  readonly #outputs: OutputFacts;
  readonly #apps: AppHistory;
  readonly #past: PastTicks;
  readonly #runs = new Runs();
  readonly #inVain = new WrittenInVain();
  readonly #owners = new Map<string, { rotation: ReadyRotation; output: OutputConfiguration }>();
  #configuration: Configuration | undefined;
  #ready: readonly ReadyRotation[] = [];
  #byName = new Map<string, ReadyRotation>();
  /** Outputs that had a reason of their own to be written when the latest run began; of rotations with several only. */
  #needy: ReadonlySet<OutputConfiguration> = new Set();
  #ticksOfHour = 0;
  /** Configurations that were in force earlier in this hour. */
  #ofHour: Configuration[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#obstacles = new Obstacles(world);
    this.#outputs = new OutputFacts(world, this.#obstacles);
    this.#past = new PastTicks(world);
    this.readers = new Readers(world, (serving) => this.#served(serving));
    this.#apps = new AppHistory(world, this.#obstacles, this.readers, this.#runs);
    world.watch(this);
  }

  /** Restarts and new revisions, by app. */
  get restarts(): ReadonlyMap<AppModel, number> {
    return this.#apps.restarts;
  }

  follow(configuration: Configuration): void {
    if (this.#configuration !== undefined) {
      this.#ofHour.push(this.#configuration);
    }
    this.#configuration = configuration;
    this.#ready = configuration.rotations.filter((rotation) => rotation.state === "ready");
    this.#byName = new Map(this.#ready.map((rotation) => [rotation.name, rotation]));
    this.#owners.clear();
    for (const rotation of this.#ready) {
      for (const output of rotation.outputs) {
        this.#owners.set(keyOf(output.vault, output.secret), { rotation, output });
      }
    }
    // What was due by the old configuration need not be by the new one.
    this.#past.forget();
    this.readers.follow(this.#ready);
  }

  runBegan(run: Run): void {
    this.#runs.begin(run, this.#world.clock.now());
    const now = run.instance.clock.now();
    const several = this.#ready.filter(({ outputs }) => outputs.length > 1);
    this.#needy = new Set(
      several.flatMap((rotation) =>
        rotation.outputs.filter((output) => this.#outputs.needs(rotation, output, now, run.instance.skewMs)),
      ),
    );
    if (run.by === "timer") {
      this.#ticksOfHour += 1;
      this.#inVain.tickBegan();
    }
  }

  runKilled(run: Run): void {
    this.#runs.end(run);
    this.#apps.runKilled();
  }

  runEnded(run: Run): void {
    this.#runs.end(run);
    for (const app of this.#world.apps) {
      this.readers.look(app);
    }
    if (run.by === "person") {
      return;
    }
    const told = new Map<string, TelemetryEvent[]>();
    for (const event of run.events) {
      if (event.name === "ConsumerFailed") {
        this.#apps.consumerFailed(event.properties.consumer);
      } else if (isOutcome(event)) {
        const { rotation } = event.properties;
        const others = told.get(rotation);
        if (others === undefined) {
          told.set(rotation, [event]);
        } else {
          others.push(event);
        }
      }
    }
    const clear = new Set<string>();
    for (const { name } of this.#configuration?.rotations ?? []) {
      const observed = this.#tickOf(name, run, told.get(name) ?? []);
      this.#judge(name, observed);
      if (observed.clear) {
        this.#count("clear tick");
        if (observed.outputs.every(({ latest }) => !latest)) {
          clear.add(name);
        }
      }
      for (const consumer of observed.consumers) {
        if (consumer.clear) {
          clear.add(clearWay(name, consumer.consumer));
        }
      }
    }
    this.#past.add({ startedAt: run.startedAt, endedAt: this.#world.clock.now(), clear });
  }

  hourPassed(): void {
    const { counter } = this.#world;
    if (this.#configuration !== undefined) {
      const configurations = [...this.#ofHour, this.#configuration];
      const ticks = this.#ticksOfHour;
      this.#judge("", {
        kind: "hourPassed",
        calls: counter.takeHour(),
        bounds: callBounds(configurations, ticks),
        ticks,
        // One may be late and fall into the hour beside its own.
        ticksExpected: Math.max(...configurations.map(({ tickMs }) => Math.ceil(hourMs / tickMs) + 1)),
        mostCreates: counter.mostCreates,
      });
    }
    this.#ticksOfHour = 0;
    this.#ofHour = [];
  }

  versionWritten(writing: Writing): void {
    const { vault, name, version, by } = writing;
    const owner = this.#owners.get(keyOf(vault.url, name));
    if (owner === undefined) {
      return;
    }
    const { rotation, output } = owner;
    this.readers.versionWritten(version, rotation.name);
    const run = by && this.#runs.latestOf(by);
    if (run !== undefined) {
      this.#judge(rotation.name, this.#written(writing, run, rotation, output));
    }
  }

  #written(
    { name, previous, version }: Writing,
    run: Run,
    rotation: ReadyRotation,
    output: OutputConfiguration,
  ): Written {
    const now = run.instance.clock.now();
    const { skewMs } = run.instance;
    const held = previous === undefined ? undefined : heldIn(this.#world, previous, rotation.name);
    const dueFrom = held === undefined ? now : earliestDue(held, rotation) - Math.abs(skewMs);
    const needed = rotation.outputs.some(
      (other) =>
        other !== output && (this.#needy.has(other) || this.#outputs.needs(rotation, other, now, skewMs)),
    );
    const facts = this.#outputs.versionFacts(version, rotation.name);
    const before = previous === undefined ? undefined : this.#outputs.versionFacts(previous, rotation.name);
    const isDue = now >= dueFrom || before?.enabled !== true || before.spec !== facts.spec || !before.ours;
    if (!isDue && needed) {
      this.#inVain.cameAlong(rotation, output);
    }
    const { refreshToken } = this.#world.tokens.find(facts.token) ?? {};
    return {
      kind: "written",
      rotation: rotation.name,
      output: name,
      previous: before,
      version: facts,
      dueFrom,
      now,
      adopt: output.adopt,
      subjectAccepted: rotation.expect?.subject !== undefined,
      paused: this.#outputs.isPaused(rotation, now) || isPausedBy(previous?.tags, now),
      neededByOther: needed,
      forced: run.by === "person",
      disturbed:
        this.#runs.overlap(run.startedAt) ||
        rotation.outputs.some((each) => this.#outputs.touchedAt(each) >= run.startedAt),
      refreshTokenStored:
        refreshToken === undefined ||
        this.#world.isStored(refreshToken) ||
        // Somebody has signed in meanwhile: theirs stays.
        this.#obstacles
          .refreshTokens(rotation)
          .some(
            ({ reference: kept }) => this.#world.vault(kept.vault).touchedAt(kept.secret) >= run.startedAt,
          ),
    };
  }

  secretChanged(vault: VaultModel, name: string): void {
    this.readers.secretChanged(vault, name);
  }

  appUpdated(update: AppUpdate): void {
    this.#judge(update.app.id, this.#apps.updated(update, this.#ready));
  }

  restartAsked(request: RestartRequest): void {
    this.#judge(request.app.id, this.#apps.restartAsked(request));
  }

  refreshTokenSpent({ provider, before, knownSpent }: Spending): void {
    const oneTime = provider.policy.refreshTokens === "oneTime";
    const { host } = provider;
    this.#judge(host, { kind: "refreshTokenSpent", provider: host, before, knownSpent, oneTime });
  }

  #served({ reader, held, at }: Serving): void {
    const { rotation, name, propagationMs, app } = reader;
    const overdueMs = at - held.expiresAt;
    this.#judge(rotation.name, {
      kind: "served",
      rotation: rotation.name,
      reader: name,
      overdueMs,
      preventable: overdueMs > 0 && this.#past.couldReplace(held, rotation, propagationMs, app?.model),
    });
  }

  #tickOf(name: string, run: Run, events: readonly TelemetryEvent[]): TickEnded {
    const rotation = this.#byName.get(name);
    if (rotation === undefined) {
      return {
        kind: "tickEnded",
        rotation: name,
        events,
        paused: false,
        clear: false,
        outputs: [],
        consumers: [],
        writtenInVain: [],
        refreshTokenLost: false,
      };
    }
    const { startedAt, instance } = run;
    const endedAt = this.#world.clock.now();
    const now = instance.clock.now();
    const startedBy = startedAt + instance.skewMs;
    const paused = this.#outputs.isPaused(rotation, startedBy);
    // What a person, or another run, has done while the tick ran is for the next one.
    const isOverlapping = this.#runs.overlap(startedAt);
    const untouched = isOverlapping
      ? []
      : rotation.outputs.filter((output) => this.#outputs.touchedAt(output) < startedAt);
    const isDisturbed = untouched.length < rotation.outputs.length;
    return {
      kind: "tickEnded",
      rotation: name,
      events,
      paused,
      clear: !paused && !isOverlapping && !this.#obstacles.impede(rotation, startedAt, endedAt),
      outputs: untouched.map((output) => this.#outputs.stateOf(rotation, output, startedBy, now)),
      // What a paused rotation feeds is left alone too.
      consumers: isDisturbed || paused ? [] : this.#apps.consumersOf(rotation, startedAt, endedAt),
      writtenInVain: this.#writtenInVain(rotation, startedAt, endedAt, isDisturbed),
      // What a person keeps from being renewed is not asked for either: the next renewal stores it.
      refreshTokenLost:
        !paused &&
        !this.#world.faults.touches("operator", name, startedAt, endedAt) &&
        this.#isRefreshTokenLost(rotation, run, endedAt, events),
    };
  }

  #writtenInVain(rotation: ReadyRotation, from: number, to: number, isDisturbed: boolean): string[] {
    if (this.#outputs.agree(rotation) || isDisturbed || this.#obstacles.impedeVaults(rotation, from, to)) {
      this.#inVain.excuse(rotation);
      return [];
    }
    return this.#inVain.again(rotation);
  }

  #isRefreshTokenLost(
    rotation: ReadyRotation,
    { startedAt, instance }: Run,
    endedAt: number,
    events: readonly TelemetryEvent[],
  ): boolean {
    return (
      this.#obstacles
        .refreshTokens(rotation)
        .some(
          ({ provider, stored, couldStore }) =>
            !stored && couldStore(startedAt, endedAt) && provider.newest?.holder === instance,
        ) &&
      // Where a fallback has made the rotation fresh, the next renewal stores it.
      !events.some(({ properties }) => "outcome" in properties && properties.outcome === "Fresh")
    );
  }

  #count(kind: Observation["kind"] | "clear tick"): void {
    this.judged.set(kind, (this.judged.get(kind) ?? 0) + 1);
  }

  #judge(where: string, observation: Observation | undefined): void {
    if (observation === undefined) {
      return;
    }
    this.#count(observation.kind);
    for (const [invariant, what] of violationsOf(observation)) {
      this.violations.push({ invariant, what, where, at: this.#world.clock.now() });
    }
  }
}

const outcomeEvents: ReadonlySet<string> = new Set(Object.values(outcomes));

type OutcomeEvent = (typeof outcomes)[keyof typeof outcomes];

/** Whether it tells what became of a rotation. */
function isOutcome(event: TelemetryEvent): event is Extract<TelemetryEvent, { readonly name: OutcomeEvent }> {
  return outcomeEvents.has(event.name);
}

function keyOf(vault: string, secret: string): string {
  return `${vault}/secrets/${secret}`.toLowerCase();
}
