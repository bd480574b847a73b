import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type {
  CallContext,
  Clock,
  Rendered,
  SecretProperties,
  SecretState,
  SecretStore,
  Token,
} from "../ports.ts";
import type { SecretValue } from "../secretValue.ts";
import { DeadlinePassed, within } from "./deadline.ts";
import type { Decision, OutputDecision } from "./decide.ts";
import type { Output, Rotation } from "./rotation.ts";
import { belongsTo, issuedOn, sequence, subjectHash, tagNames, versionTags } from "./tags.ts";

export const publishProblems = problems({
  SubjectChanged: {
    message: "The new token speaks for another identity than the version it would replace.",
    remedy:
      "Run the rotation as the identity that it was set up with; if the change is meant, run `token-rotator rotate NAME --accept-subject` once.",
    retryable: false,
  },
  ProbeTimedOut: {
    message: "The place where the new token is tried out did not answer in time.",
    remedy: "Check that it can be reached from the function app, or take the probe out of the configuration.",
    retryable: true,
  },
  TokenShortLived: {
    message: "The new token is published, but lives too short for its readers to be safe when ticks fail.",
    remedy:
      "Ask the source for longer tokens, or set `lifetime` to how long they really live: `token-rotator validate` then says what else must change.",
    retryable: false,
  },
  TokenNotRenewed: {
    message:
      "The source keeps handing out the token that the vault already holds, and it is about to expire.",
    remedy:
      "A cache in front of the source is stuck (managed identities: up to 24 hours, it cannot be cleared); check the source, or add a second one as a fallback.",
    retryable: true,
  },
});

export interface Written {
  readonly output: Output;
  readonly value: SecretValue;
  readonly properties: SecretProperties;
}

export interface Publication {
  readonly written: readonly Written[];
  /** What kept single outputs from being written; the others are written all the same. */
  readonly errors: readonly RotatorError[];
}

export interface PublishOptions {
  readonly operation: string;
  readonly acceptSubject: boolean;
  readonly storeOf: (vault: string) => SecretStore;
  readonly clock: Clock;
}

/** A place where the token is tried out may hang; that must not eat the tick. */
const probeTimeoutMs = 15_000;

/**
 * Writes the token to every output that does not hold it yet, and never anything worse than what is there: not for
 * another subject, not with an earlier expiry. Nothing is written where nothing changed. The outputs that need the token
 * come first; where one of them cannot be written, those that would only keep in step with it stay as they are.
 *
 * @throws RotatorError `SubjectChanged`, or of the probe, before anything is written.
 */
export async function publish(
  rotation: Rotation,
  decision: Decision,
  token: Token,
  options: PublishOptions,
  context: CallContext,
): Promise<Publication> {
  const subject = rotation.checks.subjectOf(token);
  if (!options.acceptSubject && !rotation.checks.subjectStated) {
    refuseOtherSubject(rotation, decision, subject);
  }
  const candidates: { decided: OutputDecision; rendered: Rendered; gain: Gain }[] = [];
  const errors: RotatorError[] = [];
  for (const decided of decision.outputs) {
    if (decided.state.kind === "unknown") {
      errors.push(asRotatorError(decided.state.error, "gather"));
      continue;
    }
    try {
      const rendered = (await decided.output.load()).render(token);
      candidates.push({ decided, rendered, gain: gainOf(rotation, decided, token, rendered.value) });
    } catch (error) {
      errors.push(asRotatorError(error, "format"));
    }
  }
  // What belongs together holds one token, also where the new one lives no longer than the one before.
  const isForAll = decision.reason === "OutputsDiverged" || candidates.some(({ gain }) => gain === "better");
  const pending = candidates.filter(({ gain }) => gain === "better" || (gain === "equal" && isForAll));
  // Half of what belongs together is worse than what is there now. And outputs that are good but differ are worth new
  // versions only where those bring them together: else every tick would write some.
  const incomplete = errors.some(({ stage }) => stage === "format");
  const apart =
    decision.reason === "OutputsDiverged" &&
    !unites(token, decision, new Set(pending.map(({ decided }) => decided.output)));
  if (pending.length === 0 || incomplete || apart) {
    return { written: [], errors };
  }
  await tryOut(rotation, token, options.clock, context);

  const written: Written[] = [];
  const turnOf = turnsOf(decision);
  let failedTurn = Number.POSITIVE_INFINITY;
  for (const { decided, rendered } of pending.toSorted((a, b) => turnOf(a.decided) - turnOf(b.decided))) {
    const { output, state } = decided;
    const previous = propertiesOf(state);
    const turn = turnOf(decided);
    if (turn > failedTurn) {
      // Else a sibling that cannot be written for days would cost this one a version on every tick.
      break;
    }
    try {
      const properties = await options.storeOf(output.vault).write(
        output.secret,
        {
          value: rendered.value,
          contentType: rendered.contentType,
          expiresOn: token.expiresOn,
          tags: versionTags({
            rotation: rotation.name,
            spec: output.spec,
            token: token.value.fingerprint(),
            content: rendered.value.fingerprint(),
            operation: options.operation,
            subject,
            issuedOn: token.issuedOn,
            sequence: (previous === undefined ? 0 : sequence(previous)) + 1,
          }),
        },
        context,
      );
      written.push({ output, value: rendered.value, properties });
    } catch (error) {
      context.signal.throwIfAborted();
      errors.push(asRotatorError(error, "publish"));
      failedTurn = Math.min(failedTurn, turn);
    }
  }
  return { written, errors };
}

/**
 * In which order the outputs are written: first those that are due, then those that hold an older token than their
 * siblings (one that ends earlier or, of two that end together, that was issued earlier), last those that hold the newest.
 */
function turnsOf({ outputs }: Decision): (decided: OutputDecision) => number {
  const isDue = ({ reason }: OutputDecision) => reason !== "Fresh" && reason !== "OutputsDiverged";
  const compare = (one: OutputDecision, other: OutputDecision) =>
    expiryOf(one) - expiryOf(other) || issueOf(one) - issueOf(other);
  const newest = outputs
    .filter((decided) => !isDue(decided))
    .toSorted(compare)
    .at(-1);
  return (decided) => {
    if (newest === undefined || isDue(decided)) {
      return 0;
    }
    return compare(decided, newest) < 0 ? 1 : 2;
  };
}

function expiryOf({ state }: OutputDecision): number {
  return propertiesOf(state)?.expiresOn?.getTime() ?? 0;
}

function issueOf({ state }: OutputDecision): number {
  const properties = propertiesOf(state);
  return (properties && issuedOn(properties)) ?? 0;
}

function refuseOtherSubject(rotation: Rotation, decision: Decision, subject: string | undefined): void {
  const held = decision.outputs
    .map(({ state }) => propertiesOf(state))
    .filter((properties) => properties !== undefined && belongsTo(properties, rotation.name))
    .map((properties) => properties?.tags[tagNames.subject])
    .find((hash) => hash !== undefined);
  if (held !== undefined && (subject === undefined || subjectHash(subject) !== held)) {
    const error = new RotatorError(publishProblems.SubjectChanged);
    error.stage = "check";
    throw error;
  }
}

/** What a new version would be beside the current one: `equal` holds another token that ends at the same moment. */
type Gain = "better" | "equal" | "none";

/**
 * A version that is missing, disabled, laid out by an older configuration or not ours is replaced by any valid token; a
 * good one only by a token that lives longer.
 */
function gainOf(
  rotation: Rotation,
  { output, state }: OutputDecision,
  token: Token,
  value: SecretValue,
): Gain {
  const current = propertiesOf(state);
  if (current === undefined || !current.enabled || !belongsTo(current, rotation.name)) {
    return "better";
  }
  if (current.tags[tagNames.spec] !== output.spec) {
    return "better";
  }
  // Both are compared: a key that is kept across renewals has the same content beside a token that is new, and its
  // version must come to carry the new expiry.
  const sameToken = current.tags[tagNames.token] === token.value.fingerprint();
  if (sameToken && current.tags[tagNames.content] === value.fingerprint()) {
    return "none";
  }
  if (current.expiresOn === undefined) {
    return "better";
  }
  const gained = wholeSeconds(token.expiresOn) - wholeSeconds(current.expiresOn);
  return gained > 0 ? "better" : gained === 0 ? "equal" : "none";
}

/** Whether every output that can be read holds this token once those are written. */
function unites(token: Token, { outputs }: Decision, written: ReadonlySet<Output>): boolean {
  const fingerprint = token.value.fingerprint();
  return outputs.every(
    ({ output, state }) =>
      state.kind === "unknown" ||
      written.has(output) ||
      propertiesOf(state)?.tags[tagNames.token] === fingerprint,
  );
}

/** Key Vault keeps whole seconds; a fraction must not make an equal expiry look later. */
function wholeSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

async function tryOut(rotation: Rotation, token: Token, clock: Clock, context: CallContext): Promise<void> {
  if (rotation.probe === undefined) {
    return;
  }
  try {
    const probe = await rotation.probe();
    await within(clock, probeTimeoutMs, context.signal, (signal) =>
      probe.probe(token, { ...context, signal }),
    );
  } catch (error) {
    context.signal.throwIfAborted();
    const timedOut = error instanceof DeadlinePassed;
    throw asRotatorError(
      timedOut ? new RotatorError(publishProblems.ProbeTimedOut, { cause: error }) : error,
      "probe",
    );
  }
}

function propertiesOf(state: SecretState): SecretProperties | undefined {
  return state.kind === "present" ? state.properties : undefined;
}
