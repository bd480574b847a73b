import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { ConsumerStateName, Freshness, Reason } from "../events.ts";
import type { ConsumerState } from "../ports.ts";
import { DeadlinePassed, startDeadline, unlessAborted } from "./deadline.ts";
import type { Decision, OutputDecision } from "./decide.ts";
import { decide, renewAt } from "./decide.ts";
import type { Engine } from "./engine.ts";
import { freshness } from "./freshness.ts";
import { gather } from "./gather.ts";
import type { Target } from "./propagate.ts";
import { inspect, targetsOf, wantedOf } from "./propagate.ts";
import type { ConsumerResult } from "./result.ts";
import type { Rotation } from "./rotation.ts";
import { blockedResult } from "./rotationResult.ts";
import { belongsTo, sequence } from "./tags.ts";

const surveyProblems = problems({
  LookTooSlow: {
    message: "The vaults or the consumers did not answer in time.",
    remedy: "Try again; if it recurs, see whether a vault or the resource manager is slow or throttles.",
    retryable: true,
  },
});

/** What a tick would find at this moment and what it would decide. Nothing is changed. */
export interface Survey {
  readonly now: number;
  readonly rotations: readonly SurveyedRotation[];
}

export interface SurveyedRotation {
  readonly rotation: Rotation;
  readonly decision: Decision;
  readonly consumers: readonly SurveyedConsumer[];
}

export interface SurveyedConsumer extends ConsumerResult {
  /** Name of the output's secret that this consumer takes. */
  readonly output: string;
  readonly error?: ConsumerState["error"];
}

export interface SurveyOptions {
  readonly deadlineMs: number;
  readonly force?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Gathers and decides exactly as a tick does, and asks the consumers what they hold.
 * @throws RotatorError `LookTooSlow`; the signal's reason when that aborts.
 */
export async function survey(
  engine: Engine,
  rotations: readonly Rotation[],
  options: SurveyOptions,
): Promise<Survey> {
  const { clock, storeOf } = engine;
  using deadline = startDeadline(clock, options.deadlineMs, options.signal);
  const context = {
    signal: deadline.signal,
    giveUpAt: clock.now() + Math.min(options.deadlineMs, engine.retryBudgetMs),
  };
  const targets = targetsOf(rotations);
  const found = new Map<Target, ConsumerState>();
  const look = async () => {
    const states = await gather(rotations, storeOf, context);
    await Promise.all(
      targets.map(async (target) => {
        const wanted = wantedOf(target, states, new Map(), storeOf);
        found.set(target, await inspect(target, wanted, context));
      }),
    );
    return states;
  };
  const states = await unlessAborted(deadline.signal, look()).catch((error: unknown) => {
    throw error instanceof DeadlinePassed
      ? asRotatorError(new RotatorError(surveyProblems.LookTooSlow, { cause: error }), "gather")
      : error;
  });
  const now = clock.now();
  return {
    now,
    rotations: rotations.map((rotation) => ({
      rotation,
      decision: decide(rotation, states, now, { force: options.force ?? false }),
      consumers: targets.flatMap((target) => consumersOf(rotation, target, found.get(target))),
    })),
  };
}

function consumersOf(
  rotation: Rotation,
  target: Target,
  state: ConsumerState | undefined,
): SurveyedConsumer[] {
  return target.bindings
    .filter((binding) => binding.rotation === rotation)
    .map(({ binding }) => ({
      name: target.consumer.target,
      output: binding.output,
      state: state === undefined ? "unknown" : stateOf(binding.secret, state),
      ...(state?.error === undefined ? {} : { error: state.error }),
    }));
}

/** A target that lacks another rotation's secret is not behind for this one. */
function stateOf(secret: string, { state, behind }: ConsumerState): ConsumerStateName {
  return state === "behind" && !behind.includes(secret) ? "current" : state;
}

/** Why rotations are blocked: each problem once, however many rotations it blocks. */
export function blockingProblems({ rotations }: Survey): RotatorError[] {
  const blocked = rotations.filter(({ decision }) => decision.action === "blocked");
  const problems = blocked.flatMap(
    ({ rotation, decision }) => blockedResult(rotation, decision, 0).error ?? [],
  );
  return [...new Map(problems.map((error) => [`${error.code} ${error.summary}`, error])).values()];
}

/** One row of `plan --json`. */
export interface PlanRow {
  readonly rotation: string;
  readonly action: "rotate" | "propagate" | "none" | "blocked";
  readonly reason: Reason;
  readonly outputs: readonly { readonly secret: string; readonly vault: string; readonly reason: Reason }[];
  readonly consumers: readonly ConsumerResult[];
}

/** What a tick would do: the same decision, printed. */
export function planRows({ rotations }: Survey): PlanRow[] {
  return rotations.map(({ rotation, decision, consumers }) => ({
    rotation: rotation.name,
    action: decision.reason === "Fresh" && consumers.some(isPending) ? "propagate" : decision.action,
    reason: decision.reason,
    outputs: decision.outputs.map(({ output, reason }) => ({
      secret: output.secret,
      vault: output.vault,
      reason,
    })),
    consumers: consumers.map(({ name, state }) => ({ name, state })),
  }));
}

function isPending({ state }: ConsumerResult): boolean {
  return state === "behind" || state === "failed";
}

/** One row of `status --json`. */
export interface StatusRow {
  readonly rotation: string;
  readonly output: string;
  readonly secret: string;
  readonly vault: string;
  readonly freshness: Freshness;
  readonly reason: Reason;
  readonly expiresOn?: string;
  readonly secondsToExpiry?: number;
  readonly renewAt?: string;
  /** Known only where the vault had to be read secret by secret. */
  readonly version?: string;
  /** How many versions the rotator has written under this name. */
  readonly versions?: number;
  readonly consumers: readonly ConsumerResult[];
}

/** How fresh every output is, why it is not, and when it will be renewed. */
export function statusRows({ rotations, now }: Survey): StatusRow[] {
  return rotations.flatMap(({ rotation, decision, consumers }) =>
    decision.outputs.length === 0
      ? [unreadableRow(rotation)]
      : decision.outputs.map((output) => ({
          rotation: rotation.name,
          output: output.output.secret,
          secret: output.output.secret,
          vault: output.output.vault,
          freshness: freshness(rotation, decision, output, now),
          reason: statusReason(decision, output),
          ...times(rotation, output, now),
          consumers: consumers
            .filter((consumer) => consumer.output === output.output.secret)
            .map(({ name, state }) => ({ name, state })),
        })),
  );
}

/** A rotation of whose outputs none can be read is not healthy for having none. */
function unreadableRow({ name }: Rotation): StatusRow {
  return {
    rotation: name,
    output: "",
    secret: "",
    vault: "",
    freshness: "blocked",
    reason: "ConfigurationInvalid",
    consumers: [],
  };
}

/** What holds the whole rotation back is the reason for each of its outputs. */
function statusReason(decision: Decision, output: OutputDecision): Reason {
  return decision.reason === "Paused" || decision.reason === "ConfigurationInvalid"
    ? decision.reason
    : output.reason;
}

function times(rotation: Rotation, { state }: OutputDecision, now: number): Partial<StatusRow> {
  if (state.kind !== "present") {
    return {};
  }
  const { properties } = state;
  const ours = belongsTo(properties, rotation.name);
  return {
    ...(properties.expiresOn === undefined
      ? {}
      : {
          expiresOn: properties.expiresOn.toISOString(),
          secondsToExpiry: Math.round((properties.expiresOn.getTime() - now) / 1000),
          ...(ours ? { renewAt: new Date(renewAt(rotation, properties)).toISOString() } : {}),
        }),
    ...(properties.version === undefined ? {} : { version: properties.version }),
    ...(ours ? { versions: sequence(properties) } : {}),
  };
}
