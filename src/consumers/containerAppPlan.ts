import type { AskedRestart } from "./appliedTags.ts";
import type { Replica, Revision } from "./containerAppApi.ts";

/*
 * What is due at an app once its secrets are up to date: a pure function of what runs there. A container is given the
 * values of its secrets when it starts, so a replica holds the new ones exactly if it was created after the update.
 */

export type RestartKind = "revision-restart" | "new-revision" | "none";

export interface RunningRevision extends Revision {
  readonly replicas: readonly Replica[];
}

export interface Situation {
  /** Every active revision with its replicas, and those inactive ones that are younger than `since`, without. */
  readonly revisions: readonly RunningRevision[];
  readonly kind: RestartKind;
  /** A replica created at or before this holds old values. Milliseconds since the epoch, whole seconds. */
  readonly since: number;
  /** By the server's clock. */
  readonly now: number;
  /** The latest restart that is known to have been asked for, if any. */
  readonly asked: AskedRestart | undefined;
  /**
   * A young replica beside an old one is a restart under way. Not so right after an update by this run, which has asked
   * for nothing yet: there it is the platform that adds replicas.
   */
  readonly youngMeansAsked: boolean;
}

export type Assessment =
  | { readonly kind: "current" }
  /** A restart is to be asked for. `attempt` is 2 where it was asked for in vain. */
  | { readonly kind: "due"; readonly revisions: readonly string[]; readonly attempt: number }
  | { readonly kind: "waiting"; readonly old: number; readonly unready: number }
  | { readonly kind: "notReplaced"; readonly old: number }
  | { readonly kind: "unhealthy"; readonly unready: number };

/** How long the platform may take to replace replicas before it is asked once more, and then before it has failed. */
export const patienceMs = 10 * 60_000;

export function assess(situation: Situation): Assessment {
  const { kind, revisions } = situation;
  const active = revisions.filter((revision) => revision.active);
  if (kind === "none") {
    return { kind: "current" };
  }
  const old = active.filter((revision) => oldReplicas(revision, situation).length > 0);
  if (kind === "new-revision" && successors(situation).at(-1)?.failed) {
    return { kind: "notReplaced", old: old.length };
  }
  return old.length > 0 ? assessOld(old, situation) : assessHealth(active, situation);
}

function assessOld(old: readonly RunningRevision[], situation: Situation): Assessment {
  const count = old.reduce((sum, revision) => sum + oldReplicas(revision, situation).length, 0);
  const verdicts = old.map((revision) => ({ revision, verdict: verdictOn(revision, situation) }));
  const due = verdicts.filter(({ verdict }) => typeof verdict === "number");
  if (due.length > 0) {
    const attempt = Math.max(...due.map(({ verdict }) => Number(verdict)));
    return { kind: "due", revisions: due.map(({ revision }) => revision.name), attempt };
  }
  return verdicts.some(({ verdict }) => verdict === "notReplaced")
    ? { kind: "notReplaced", old: count }
    : { kind: "waiting", old: count, unready: 0 };
}

/** The number of the attempt that is due, or why none is. */
function verdictOn(revision: RunningRevision, situation: Situation): 1 | 2 | "waiting" | "notReplaced" {
  const asked =
    situation.kind === "new-revision" ? askedBySuccessor(situation) : askedFor(revision, situation);
  if (asked === undefined) {
    return 1;
  }
  if (situation.now - asked.at < patienceMs) {
    return "waiting";
  }
  return asked.attempt === 1 ? 2 : "notReplaced";
}

function askedFor(
  revision: RunningRevision,
  situation: Situation,
): Omit<AskedRestart, "revisions"> | undefined {
  const { asked, since, youngMeansAsked } = situation;
  // A mark from before the update belongs to an earlier one.
  if (asked !== undefined && asked.at >= since) {
    if (asked.revisions === "all" || asked.revisions.includes(revision.name)) {
      return asked;
    }
  }
  const young = revision.replicas.filter(({ createdAt }) => createdAt > since);
  return youngMeansAsked && young.length > 0
    ? { at: Math.max(...young.map(({ createdAt }) => createdAt)), attempt: 1 }
    : undefined;
}

/** A revision that was made after the update takes over by itself when it is ready; asking again would not help it. */
function askedBySuccessor(situation: Situation): Omit<AskedRestart, "revisions"> | undefined {
  const { asked, since } = situation;
  const newest = successors(situation).at(-1);
  if (newest !== undefined) {
    return { at: newest.createdAt, attempt: 2 };
  }
  return asked !== undefined && asked.at >= since ? { at: asked.at, attempt: 2 } : undefined;
}

/** Revisions that were made after the update, the newest last. */
function successors({ revisions, since }: Situation): RunningRevision[] {
  return revisions
    .filter(({ createdAt }) => createdAt > since)
    .toSorted((one, other) => one.createdAt - other.createdAt);
}

function assessHealth(active: readonly RunningRevision[], { since, now }: Situation): Assessment {
  const unready = active
    .flatMap(({ replicas }) => replicas)
    // Those from before are on their way out; those that came much later are the app's own comings and goings.
    .filter(({ createdAt }) => createdAt > since && createdAt <= since + patienceMs)
    .filter(({ running, ready }) => !running || !ready);
  if (unready.length === 0) {
    return { kind: "current" };
  }
  const youngest = Math.max(...unready.map(({ createdAt }) => createdAt));
  return now - youngest < patienceMs
    ? { kind: "waiting", old: 0, unready: unready.length }
    : { kind: "unhealthy", unready: unready.length };
}

/** A replica that does not run and that has a successor holds nothing any more: it is about to be removed. */
function oldReplicas({ replicas }: RunningRevision, { since }: Situation): Replica[] {
  const replaced = replicas.some(({ createdAt }) => createdAt > since);
  return replicas.filter(({ createdAt, running }) => createdAt <= since && (running || !replaced));
}
