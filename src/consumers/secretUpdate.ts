import { retry } from "../core/retry.ts";
import { asRotatorError, RotatorError } from "../errors.ts";
import type { CallContext, Clock, WantedSecret } from "../ports.ts";
import { appliedIn, type Tags, withApplied } from "./appliedTags.ts";
import type { HeldSecret, HolderState, SecretHolder } from "./containerAppApi.ts";
import { consumerProblems } from "./containerAppProblems.ts";
import { type Change, loadChanges } from "./secretChanges.ts";
import { isApplied, type SecretBinding } from "./secretComparison.ts";

/*
 * Brings the secrets of an app or a job up to date: one PATCH for all that changed. The array of secrets is replaced as a
 * whole and there is no etag, so every update lists them anew, sends all of them, and looks afterwards whether its own
 * change and everybody else's is there.
 */

export interface UpdateRun {
  readonly holder: SecretHolder;
  readonly bindings: readonly SecretBinding[];
  readonly clock: Clock;
  readonly context: CallContext;
}

/** Waits until no operation is in progress, at most `longestMs`. */
export async function settled(
  { holder, clock, context }: Pick<UpdateRun, "holder" | "clock" | "context">,
  longestMs: number,
  firstWaitMs = 0,
): Promise<HolderState> {
  const endAt = Math.min(context.giveUpAt, clock.now() + longestMs);
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs || pollMs, longestPollMs)) {
    await clock.sleep(waitMs, context.signal);
    const state = await holder.read(context);
    if (state.provisioning !== "inProgress" || clock.now() + pollMs > endAt) {
      return state;
    }
  }
}

/** How an update is made that also replaces the app's revision. */
export interface NewRevision {
  /** Absent where nothing runs that would have to be replaced, or where such a revision was made and failed. */
  readonly suffix: string | undefined;
}

export interface SecretUpdate {
  /** After the update. */
  readonly state: HolderState;
  /** Names of the secrets that are up to date now. */
  readonly updated: readonly string[];
  /** How many this run wrote; another process may have been faster. */
  readonly written: number;
  readonly errors: readonly RotatorError[];
  /** Set where the update itself did not succeed. */
  readonly failure?: RotatorError;
}

/** Writes what is behind. `state` was read in an earlier second than an update with a new revision is made in. */
export async function updateSecrets(
  run: UpdateRun,
  state: HolderState,
  behind: readonly WantedSecret[],
  newRevision?: NewRevision,
): Promise<SecretUpdate> {
  const { changes, errors } = await loadChanges(behind, run.bindings, run.context);
  if (changes.length === 0) {
    return { state, updated: [], written: 0, errors };
  }
  const sent = await send(run, changes, { before: state, repair: false, newRevision });
  const written = sent.written ? changes.length : 0;
  try {
    const { state: after, lost } = await confirmed(run, changes, sent);
    const facts = { resource: run.holder.resource, secrets: lost.join(",") };
    // It is somebody else's: ours is in force, and its restart must not wait.
    const losses = lost.length === 0 ? [] : [new RotatorError(consumerProblems.ConsumerRaceLost, { facts })];
    const updated = changes.map(({ entry }) => entry.name);
    return { state: after, updated, written, errors: [...errors, ...losses] };
  } catch (error) {
    run.context.signal.throwIfAborted();
    return { state, updated: [], written, errors, failure: asRotatorError(error, "propagate") };
  }
}

/**
 * Waits until the update is done and looks whether it is there; one that another writer undid is made once more.
 * @returns the names of other writers' secrets that are missing.
 * @throws RotatorError `ConsumerUpdateFailed`, `ConsumerUpdateUnfinished`, `ConsumerRaceLost`
 */
async function confirmed(
  run: UpdateRun,
  changes: readonly Change[],
  sent: Sent,
): Promise<{ state: HolderState; lost: readonly string[] }> {
  const first = await look(run, changes, sent);
  if (first.ours.length === 0) {
    return { state: first.state, lost: first.others };
  }
  const again = await send(run, first.ours, { before: first.state, repair: true, newRevision: undefined });
  const second = await look(run, changes, again);
  if (second.ours.length > 0) {
    const secrets = second.ours.map(({ entry }) => entry.name).join(",");
    const facts = { resource: run.holder.resource, secrets };
    throw new RotatorError(consumerProblems.ConsumerRaceLost, { facts });
  }
  return { state: second.state, lost: second.others };
}

/** Looks twice before it says that something of ours is missing: a read may be behind the write. */
async function look(run: UpdateRun, changes: readonly Change[], sent: Sent): Promise<Loss> {
  for (let second = false, { waitMs } = sent; ; second = true, waitMs = pollMs) {
    const state = await settled(run, updateMs, waitMs);
    assertDone(state, run.holder);
    const loss = await findLoss(run, state, changes, sent.names);
    if (loss.ours.length === 0 || second) {
      return loss;
    }
  }
}

/** An update takes seconds to a minute; the platform's own limit is longer than a tick. */
export const updateMs = 3 * 60_000;
const pollMs = 2_000;
const longestPollMs = 10_000;
const mostTags = 50;

interface Sent {
  /** `false` where all of it was there already, and not by us. */
  readonly written: boolean;
  /** How long to wait before asking whether it is done, in milliseconds. */
  readonly waitMs: number;
  /** Names of all secrets that were sent. */
  readonly names: readonly string[];
}

interface Loss {
  readonly state: HolderState;
  /** Changes of ours that are not there. */
  readonly ours: readonly Change[];
  /** Names of other secrets that were sent and are not there. */
  readonly others: readonly string[];
}

interface Sending {
  readonly before: HolderState;
  /** Sends although the tags say that it is there. */
  readonly repair: boolean;
  readonly newRevision: NewRevision | undefined;
}

/**
 * Lists, modifies and sends until it is accepted. The state is read last, so that as little time as possible is left for
 * another writer; it also shows what another process, or an earlier try whose answer was lost, has already done.
 */
async function send(run: UpdateRun, changes: readonly Change[], sending: Sending): Promise<Sent> {
  const { holder, clock, context } = run;
  return retry(
    async (attempt) => {
      const { secrets, serverTime } = await holder.listSecrets(context);
      const state = await holder.read(context);
      const applied = changes.every(({ entry, version }) => isApplied(state, entry.name, version));
      if (applied && !sending.repair) {
        return { written: attempt > 1, waitMs: 0, names: state.secretNames };
      }
      assertFree(holder, state, secrets);
      assertKeepable(holder, secrets, changes);
      const tags = changes.reduce<Tags>((all, { entry: { name }, version }) => {
        const at = appliedAt(state, name, version, sending, serverTime);
        return withApplied(all, name, { at, version });
      }, state.tags);
      if (Object.keys(tags).length > mostTags) {
        throw new RotatorError(consumerProblems.ConsumerTagsFull, { facts: { resource: holder.resource } });
      }
      const all = secrets.map((held) => changes.find(({ entry }) => entry.name === held.name)?.entry ?? held);
      const suffix = sending.newRevision?.suffix;
      const change = { tags, secrets: all, ...(suffix === undefined ? {} : { revisionSuffix: suffix }) };
      const waitMs = await holder.update(state, change, context);
      return { written: true, waitMs, names: all.map(({ name }) => name) };
    },
    { clock, context },
  );
}

/**
 * The time that is noted. With a new revision it is one in an earlier second than the revision's; and it stays when an
 * update that failed is made again, so that a revision that failed with it is still known as its successor.
 */
function appliedAt(
  state: HolderState,
  secret: string,
  version: string,
  { before, newRevision }: Sending,
  serverTime: number,
): number {
  if (newRevision === undefined) {
    return serverTime;
  }
  const noted = appliedIn(state.tags, secret);
  return state.provisioning === "failed" && noted?.version === version ? noted.at : before.serverTime;
}

/** Another writer is at work: its operation goes on, or it came between the two reads. */
function assertFree({ resource }: SecretHolder, state: HolderState, secrets: readonly HeldSecret[]): void {
  const listed = secrets.map(({ name }) => name);
  if (
    state.provisioning === "inProgress" ||
    listed.toSorted().join() !== state.secretNames.toSorted().join()
  ) {
    throw new RotatorError(consumerProblems.ConsumerBusy, { facts: { resource } });
  }
}

/** Refuses to send a list that would change or drop somebody else's secret, or that lacks ours. */
function assertKeepable(
  { resource }: SecretHolder,
  secrets: readonly HeldSecret[],
  changes: readonly Change[],
): void {
  const removed = changes.find(({ entry }) => secrets.every(({ name }) => name !== entry.name));
  if (removed !== undefined) {
    const facts = { resource, secret: removed.entry.name };
    throw new RotatorError(consumerProblems.ConsumerSecretMissing, { facts });
  }
  const unreadable = secrets.find(
    ({ name, value, keyVaultUrl }) =>
      value === undefined && keyVaultUrl === undefined && !changes.some(({ entry }) => entry.name === name),
  );
  if (unreadable !== undefined) {
    const facts = { resource, secret: unreadable.name };
    throw new RotatorError(consumerProblems.ConsumerSecretUnreadable, { facts });
  }
}

function assertDone(state: HolderState, { resource }: SecretHolder): void {
  if (state.provisioning === "failed") {
    throw new RotatorError(consumerProblems.ConsumerUpdateFailed, { facts: { resource } });
  }
  if (state.provisioning === "inProgress") {
    throw new RotatorError(consumerProblems.ConsumerUpdateUnfinished, { facts: { resource } });
  }
}

/**
 * Compares what is there with what was sent: our tags, our values, and everybody's names. A writer that sent a list from
 * before our update has put the old value back, whatever the tags say.
 */
async function findLoss(
  { holder, context }: UpdateRun,
  state: HolderState,
  changes: readonly Change[],
  names: readonly string[],
): Promise<Loss> {
  const { secrets } = await holder.listSecrets(context);
  const held = new Map(secrets.map((secret) => [secret.name, secret]));
  const ours = changes.filter(
    ({ entry, version }) => !isApplied(state, entry.name, version) || !isSame(held.get(entry.name), entry),
  );
  const others = names.filter((name) => !held.has(name) && !changes.some(({ entry }) => entry.name === name));
  return { state, ours, others };
}

function isSame(held: HeldSecret | undefined, entry: HeldSecret): boolean {
  if (entry.keyVaultUrl !== undefined) {
    return held?.keyVaultUrl?.toLowerCase() === entry.keyVaultUrl.toLowerCase();
  }
  return entry.value !== undefined && held?.value?.equals(entry.value) === true;
}
