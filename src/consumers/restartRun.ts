import { hash } from "node:crypto";
import { retry } from "../core/retry.ts";
import { asRotatorError, type RotatorError } from "../errors.ts";
import type { CallContext, Clock, WantedSecret } from "../ports.ts";
import { type AskedRestart, appliedIn, restartIn, withRestart } from "./appliedTags.ts";
import type { AppHolder, HolderState } from "./containerAppApi.ts";
import { type Assessment, assess, type RestartKind, type RunningRevision } from "./containerAppPlan.ts";
import { parseResourceId } from "./resourceId.ts";
import type { NewRevision } from "./secretUpdate.ts";

export interface RestartBinding {
  readonly secret: string;
  readonly restart: RestartKind;
}

/** How long a run waits for the platform to replace replicas before it leaves the rest to the next tick. */
const restartWaitMs = 90_000;
/** How long it goes on trying to note what it has asked for, at least. */
const noteMs = 20_000;
const firstPollMs = 1_000;
const longestPollMs = 5_000;
/** A restart whose answer was lost shows within this time, or it is asked for again. */
const unsureMs = 20_000;
/** Times are told in whole seconds; what must be younger happens in a later one. */
const secondMs = 1_000;

/** Sees to it, during one run, that what runs in an app is younger than the secrets that were applied to it. */
export class RestartRun {
  readonly #holder: AppHolder;
  readonly #clock: Clock;
  readonly #context: CallContext;
  readonly #bindings: readonly RestartBinding[];
  readonly #kind: RestartKind;
  #state: HolderState;
  /** Our clock when `#state` was read: with it the server's time is known later on. */
  #readAt: number;
  /** As `since` of the situation; `undefined` while nothing was ever applied that needs a restart. */
  #since: number | undefined;
  #asked: AskedRestart | undefined;
  /** When a restart was asked for that may not have been heard, by revision and our clock. */
  readonly #unsure = new Map<string, number>();
  #youngMeansAsked = true;
  /** When the update was planned. */
  #nothingRan = false;
  #restarted = false;
  /** Whether `#asked` says more than the tags do. */
  #noteDue = false;

  constructor(
    holder: AppHolder,
    bindings: readonly RestartBinding[],
    state: HolderState,
    clock: Clock,
    context: CallContext,
  ) {
    this.#holder = holder;
    this.#clock = clock;
    this.#context = context;
    this.#bindings = bindings.filter(({ restart }) => restart !== "none");
    this.#kind = kindOf(this.#bindings, state);
    this.#state = state;
    this.#readAt = clock.now();
    this.#since = newestApplied(this.#bindings, state);
    this.#asked = restartIn(state.tags, parseResourceId(holder.resource).name);
  }

  /**
   * How an update of these secrets is to be made, where it is to replace the app's revision: with a suffix, unless nothing
   * runs, or a revision was made for the same versions before (`again`). The revision is made in a later second than the
   * app was read in, so that it counts as younger. It is named after the versions too: another run that makes one in the same
   * second would else find its own made already, without the versions that it brings.
   */
  async planUpdate(
    secrets: readonly string[],
    again: boolean,
    versions: readonly Pick<WantedSecret, "operation">[],
  ): Promise<NewRevision | undefined> {
    if (this.#kind !== "new-revision" || !this.#needsRestart(secrets)) {
      return undefined;
    }
    const revisions = await this.#revisions();
    const made = again && revisions.some(({ createdAt }) => createdAt > (this.#since ?? 0));
    this.#nothingRan = revisions.every(({ active, replicas }) => !active || replicas.length === 0);
    if (made || this.#nothingRan) {
      return { suffix: undefined };
    }
    await this.#passSecond(this.#state.serverTime);
    const mark = hash("sha256", versions.map(({ operation }) => operation).join(" "), "hex").slice(0, 4);
    return { suffix: `${this.#newSuffix()}-${mark}` };
  }

  /** Tells that this run has updated secrets, and how. */
  updated(state: HolderState, secrets: readonly string[], newRevision: NewRevision | undefined): void {
    this.#state = state;
    this.#readAt = this.#clock.now();
    this.#since = newestApplied(this.#bindings, state);
    if (!this.#needsRestart(secrets)) {
      return;
    }
    this.#youngMeansAsked = false;
    if (newRevision?.suffix !== undefined) {
      this.#asked = { at: state.serverTime, attempt: 1, revisions: "all" };
      this.#restarted = true;
    } else if (this.#kind === "revision-restart" || this.#nothingRan) {
      // The time in the tags is from before the update. This one is from after it, so that a replica that came into being
      // meanwhile is not taken for a new one.
      this.#since = Math.max(this.#since ?? 0, state.serverTime);
    }
  }

  async assess(): Promise<Assessment> {
    if (this.#kind === "none" || this.#since === undefined) {
      return { kind: "current" };
    }
    const revisions = await this.#revisions();
    const assessment = assess({
      revisions,
      kind: this.#kind,
      since: this.#since,
      now: this.#serverNow(),
      asked: this.#asked,
      youngMeansAsked: this.#youngMeansAsked,
    });
    if (assessment.kind !== "due") {
      return assessment;
    }
    const due = assessment.revisions.filter((name) => !this.#isUnsure(name));
    return due.length > 0 ? { ...assessment, revisions: due } : { kind: "waiting", old: 1, unready: 0 };
  }

  /** Whether this run asked for a restart. */
  get restarted(): boolean {
    return this.#restarted;
  }

  /**
   * Asks for the restart that is due, if one is, and waits for it as long as a run may.
   * @throws RotatorError where a restart could not be asked for.
   */
  async replace(): Promise<Assessment> {
    const endAt = Math.min(this.#context.giveUpAt, this.#clock.now() + restartWaitMs);
    for (let waitMs = firstPollMs; ; waitMs = Math.min(2 * waitMs, longestPollMs)) {
      let assessment = await this.assess();
      if (assessment.kind === "due") {
        await this.#ask(assessment.revisions, assessment.attempt);
        assessment = { kind: "waiting", old: assessment.revisions.length, unready: 0 };
      }
      if (assessment.kind !== "waiting") {
        return assessment;
      }
      if (this.#clock.now() + waitMs > endAt) {
        if (assessment.old > 0) {
          await this.#note();
        }
        return assessment;
      }
      await this.#clock.sleep(waitMs, this.#context.signal);
    }
  }

  /** Asks for every revision, also when one is refused; then throws the first refusal. */
  async #ask(revisions: readonly string[], attempt: number): Promise<void> {
    await this.#passSecond(this.#since ?? 0);
    const errors: RotatorError[] = [];
    const heard: string[] = [];
    // One new revision replaces all.
    for (const revision of this.#kind === "new-revision" ? revisions.slice(0, 1) : revisions) {
      try {
        if ((await this.#askOne(revision)) === "heard") {
          heard.push(revision);
        }
      } catch (error) {
        this.#context.signal.throwIfAborted();
        errors.push(asRotatorError(error, "propagate"));
      }
    }
    // From now on a young replica beside an old one is our own doing.
    this.#youngMeansAsked = true;
    if (heard.length > 0) {
      this.#noteAsked(heard, attempt);
    }
    if (errors[0] !== undefined) {
      throw errors[0];
    }
  }

  #noteAsked(heard: readonly string[], attempt: number): void {
    const known = this.#asked !== undefined && this.#asked.at >= (this.#since ?? 0) ? this.#asked : undefined;
    const revisions =
      known?.revisions === "all" ? "all" : [...new Set([...(known?.revisions ?? []), ...heard])];
    this.#asked = { at: this.#serverNow(), attempt: Math.max(attempt, known?.attempt ?? 1), revisions };
    this.#noteDue = this.#kind === "revision-restart";
  }

  async #askOne(revision: string): Promise<"heard" | "unsure" | "gone"> {
    if (this.#kind === "new-revision") {
      const suffix = this.#newSuffix();
      // The same suffix once more makes no second revision, so a lost answer does no harm.
      await retry(
        async () => {
          const state = await this.#holder.read(this.#context);
          await this.#holder.update(state, { tags: state.tags, revisionSuffix: suffix }, this.#context);
        },
        { clock: this.#clock, context: this.#context },
      );
      this.#restarted = true;
      return "heard";
    }
    const answer = await this.#holder.restart(revision, this.#context);
    if (answer === "unsure") {
      this.#unsure.set(revision, this.#clock.now());
    }
    this.#restarted ||= answer !== "gone";
    return answer;
  }

  /**
   * Notes at the app that a restart was asked for, so that the next tick waits for it. Only a restart that takes longer
   * than a run costs this second write; after all others the replicas themselves show that it happened.
   */
  async #note(): Promise<void> {
    const asked = this.#asked;
    if (!this.#noteDue || asked === undefined) {
      return;
    }
    // The wait for the platform may have used up the time that there was for retries.
    const giveUpAt = Math.max(this.#context.giveUpAt, this.#clock.now() + noteMs);
    const context = { ...this.#context, giveUpAt };
    try {
      await retry(
        async () => {
          const state = await this.#holder.read(context);
          await this.#holder.update(state, { tags: withRestart(state.tags, asked) }, context);
        },
        { clock: this.#clock, context },
      );
    } catch {
      // Without the note, the next tick may ask once more: a nuisance, and no reason to call this run a failure.
      this.#context.signal.throwIfAborted();
    }
  }

  async #revisions(): Promise<readonly RunningRevision[]> {
    const since = this.#since ?? 0;
    const revisions = await this.#holder.listRevisions(this.#context);
    return Promise.all(
      revisions
        .filter(({ active, createdAt }) => active || createdAt > since)
        .map(async (revision) => ({
          ...revision,
          replicas: revision.active ? await this.#holder.listReplicas(revision.name, this.#context) : [],
        })),
    );
  }

  #needsRestart(secrets: readonly string[]): boolean {
    return this.#bindings.some(({ secret }) => secrets.includes(secret));
  }

  #isUnsure(revision: string): boolean {
    const askedAt = this.#unsure.get(revision);
    return askedAt !== undefined && this.#clock.now() - askedAt < unsureMs;
  }

  /** Never later than the server's own time. */
  #serverNow(): number {
    return this.#state.serverTime + (this.#clock.now() - this.#readAt);
  }

  async #passSecond(time: number): Promise<void> {
    const waitMs = time + secondMs - this.#serverNow();
    if (waitMs > 0) {
      await this.#clock.sleep(waitMs, this.#context.signal);
    }
  }

  /** Unlike every suffix before it, and short: an app's name and the suffix share the 64 characters of a host name. */
  #newSuffix(): string {
    return `rot-${Math.floor(this.#serverNow() / secondMs).toString(36)}`;
  }
}

/** The strongest that any of the app's secrets asks for. */
function kindOf(bindings: readonly RestartBinding[], { revisionMode }: HolderState): RestartKind {
  if (bindings.length === 0) {
    return "none";
  }
  // With several active revisions the operator decides which of them gets traffic: a new one would get none, and the
  // others would keep the old values.
  return revisionMode === "single" && bindings.some(({ restart }) => restart === "new-revision")
    ? "new-revision"
    : "revision-restart";
}

function newestApplied(bindings: readonly RestartBinding[], { tags }: HolderState): number | undefined {
  const times = bindings.flatMap(({ secret }) => appliedIn(tags, secret)?.at ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}
