import { setImmediate } from "node:timers/promises";
import type { Configuration } from "../config/configuration.ts";
import { runTick } from "../core/engine.ts";
import type { TelemetryEvent } from "../events.ts";
import type { Telemetry } from "../ports.ts";
import type { Faults } from "./faults.ts";
import { Instance, type Kill } from "./instance.ts";
import { join, type Replacements } from "./join.ts";
import { Observer } from "./observer.ts";
import { ownSubject } from "./obstacles.ts";
import { Random } from "./random.ts";
import type { Run } from "./runs.ts";
import { World } from "./world.ts";

export interface SimulationOptions {
  readonly configuration: Configuration;
  readonly seed: number | string;
  /** Milliseconds of virtual time. */
  readonly durationMs: number;
  /** See {@link JoinOptions.sources}. Default `modelled`. */
  readonly sources?: "modelled" | "real";
  /** The longest that a call takes on its way in either direction. Default 50 ms. */
  readonly latencyMs?: number;
  /** The share of calls that fail, whatever else is wrong; none of them more than twice in a row. Default none. */
  readonly noise?: number;
  readonly timer?: TimerFaults;
  /** How far the clocks of instances are off, at most, in either direction. Default not at all. */
  readonly clockSkewMs?: number;
  /** Replicas of every app. Default 1. */
  readonly replicas?: number;
  readonly replacements?: Replacements;
  /** Begins whatever else is to happen in the world. */
  readonly actors?: readonly Actor[];
}

export interface RunOptions {
  /** Told after every virtual hour how much of the time has passed, from 0 to 1. */
  readonly onHour?: (share: number) => void;
  readonly signal?: AbortSignal;
}

/** Something that happens by itself, beside the rotator: an outage, a person, another writer. */
export type Actor = (simulation: Simulation) => Promise<void>;

export interface TimerFaults {
  /** The share of ticks that never happen. */
  readonly lost?: number;
  /** The share of ticks that come late, by up to one interval. */
  readonly late?: number;
  /** The share of ticks in which the process is killed at one of its calls. */
  readonly killed?: number;
  /** The share of ticks that find a new process, with nothing in memory. */
  readonly recycled?: number;
}

/** Nothing depends on the date. */
const startAt = Date.UTC(2026, 0, 1);
const hourMs = 60 * 60_000;
const deadlineMs = 4 * 60_000;
/**
 * A kill comes at one of so many calls, at the first ten as often as at the next hundred: most ticks make few, and one that
 * restarts an app makes many. Where a tick makes fewer, none comes.
 */
const killedWithinCalls = 150;

/** The product on a virtual clock, in a world in which things go wrong. Equal options, equal course. */
export class Simulation {
  readonly world: World;
  readonly observer: Observer;
  readonly random: Random;
  ticks = 0;
  configuration: Configuration;
  readonly #options: SimulationOptions;
  readonly #timer: Random;
  #instance: Instance | undefined;
  #joined: ReturnType<typeof join> | undefined;
  #events: TelemetryEvent[] = [];
  #operations = 0;

  constructor(options: SimulationOptions) {
    const { seed, latencyMs = 50, noise = 0, configuration, sources = "modelled" } = options;
    this.#options = options;
    this.random = new Random(seed);
    this.#timer = this.random.fork("timer");
    this.world = new World({
      startAt,
      random: this.random.fork("world"),
      latencyMs,
      noise,
      // The product's own sources may sign something in another thread.
      promisesOnly: sources === "modelled",
    });
    this.observer = new Observer(this.world);
    this.configuration = configuration;
    this.#addApps(configuration);
    this.observer.follow(configuration);
  }

  get seed(): number | string {
    return this.#options.seed;
  }

  /** When it began and when it ends. Milliseconds since the epoch. */
  get startsAt(): number {
    return startAt;
  }

  get endsAt(): number {
    return startAt + this.#options.durationMs;
  }

  get faults(): Faults {
    return this.world.faults;
  }

  /** Puts another configuration in force; the next tick begins with it. */
  configure(configuration: Configuration): void {
    this.#addApps(configuration);
    this.configuration = configuration;
    this.#recycle();
    this.observer.follow(configuration);
  }

  /** Lets all the time pass, or what has passed when the signal aborts. */
  async run({ onHour = () => {}, signal }: RunOptions = {}): Promise<void> {
    const { clock } = this.world;
    void this.#keepTime();
    for (const actor of this.#options.actors ?? []) {
      void actor(this);
    }
    while (clock.now() < this.endsAt && signal?.aborted !== true) {
      await clock.advance(Math.min(hourMs, this.endsAt - clock.now()));
      // Somebody may have pressed Ctrl-C.
      await setImmediate();
      this.observer.hourPassed();
      onHour((clock.now() - startAt) / this.#options.durationMs);
    }
    this.observer.readers.end();
  }

  /** The timer: a tick at every multiple of the interval, one at a time. */
  async #keepTime(): Promise<void> {
    const { clock } = this.world;
    const { lost = 0, late = 0 } = this.#options.timer ?? {};
    for (;;) {
      const { tickMs } = this.configuration;
      const dueAt = (Math.floor(clock.now() / tickMs) + 1) * tickMs;
      await clock.sleep(dueAt - clock.now());
      if (this.#timer.chance(lost)) {
        this.faults.count("tick lost");
        continue;
      }
      if (this.#timer.chance(late)) {
        this.faults.count("tick late");
        await clock.sleep(this.#timer.next() * tickMs);
      }
      if (!this.faults.touches("timer", "timer", clock.now(), clock.now())) {
        await this.#tick();
      }
    }
  }

  async #tick(): Promise<void> {
    const { killed = 0, recycled = 0 } = this.#options.timer ?? {};
    this.ticks += 1;
    if (this.#timer.chance(recycled)) {
      this.faults.count("process recycled");
      this.#recycle();
    }
    const instance = this.#currentInstance();
    const kill: Kill | undefined = this.#timer.chance(killed)
      ? {
          call: Math.floor(killedWithinCalls ** this.#timer.next()),
          when: this.#timer.chance(0.5) ? "before" : "after",
        }
      : undefined;
    await this.tick(instance, kill);
  }

  /** One tick of the timer, in that process; it may be killed on the way. */
  async tick(instance = this.#currentInstance(), kill?: Kill): Promise<void> {
    const { engine, rotations } = this.#joined as ReturnType<typeof join>;
    this.#events = [];
    const run: Run = { instance, by: "timer", startedAt: this.world.clock.now(), events: this.#events };
    instance.killAt(kill);
    this.observer.runBegan(run);
    const ended = runTick(engine, rotations, { deadlineMs });
    await Promise.race([ended, instance.end]);
    if (instance.endedAt === undefined) {
      instance.killAt(undefined);
      this.observer.runEnded(run);
    } else {
      this.faults.count(kill === undefined ? "recycled in a tick" : `killed ${kill.when} a call`);
      this.observer.runKilled(run);
      this.#instance = undefined;
    }
  }

  /** Somebody runs `rotate` by hand, as somebody else. */
  async rotateByHand(subject: string): Promise<void> {
    const instance = new Instance(this.world, 0);
    const run: Run = { instance, by: "person", startedAt: this.world.clock.now(), events: [] };
    const { engine, rotations } = this.#join(instance, subject, silent);
    this.observer.runBegan(run);
    await runTick(engine, rotations, { deadlineMs, force: true });
    this.observer.runEnded(run);
    instance.kill();
  }

  /**
   * Somebody does something to a rotation that keeps it from being renewed, and undoes it after that time.
   * @returns false where somebody else is at it already.
   */
  async disturb(rotation: string, lastsMs: number, doing: () => () => void): Promise<boolean> {
    const from = this.world.clock.now();
    if (this.faults.touches("operator", rotation, from, from)) {
      return false;
    }
    this.faults.begin({ what: "operator", target: rotation, from, to: from + lastsMs });
    const undo = doing();
    await this.world.clock.sleep(lastsMs - 1);
    undo();
    return true;
  }

  #recycle(): void {
    this.#instance?.kill();
    this.#instance = undefined;
  }

  #currentInstance(): Instance {
    if (this.#instance === undefined) {
      const { clockSkewMs = 0 } = this.#options;
      this.#instance = new Instance(this.world, Math.round((2 * this.#timer.next() - 1) * clockSkewMs));
      const telemetry: Telemetry = {
        event: (event) => void this.#events.push(event),
        metric: () => {},
        flush: async () => {},
      };
      this.#joined = this.#join(this.#instance, ownSubject, telemetry);
    }
    return this.#instance;
  }

  #join(instance: Instance, subject: string, telemetry: Telemetry): ReturnType<typeof join> {
    const { sources = "modelled", replacements = {} } = this.#options;
    return join({
      world: this.world,
      instance,
      configuration: this.configuration,
      telemetry,
      subject,
      sources,
      replacements,
      newOperation: () => {
        this.#operations += 1;
        return `operation-${this.#operations}`;
      },
    });
  }

  #addApps({ rotations }: Configuration): void {
    const fed = new Map<string, string[]>();
    for (const rotation of rotations) {
      for (const consumer of rotation.state === "ready" ? rotation.consumers : []) {
        const id = String(consumer.app ?? consumer.job ?? "");
        fed.set(id, [...(fed.get(id) ?? []), consumer.secret]);
      }
    }
    for (const [id, secrets] of fed) {
      if (this.world.findApp(id) === undefined) {
        this.world.addApp(id, secrets, this.#options.replicas ?? 1);
      }
    }
  }
}

const silent: Telemetry = { event: () => {}, metric: () => {}, flush: async () => {} };
