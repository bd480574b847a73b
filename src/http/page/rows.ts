import type { Attempt, History } from "../../app/history.ts";
import { renewAt } from "../../core/decide.ts";
import { freshness, needsAttention } from "../../core/freshness.ts";
import type { Rotation } from "../../core/rotation.ts";
import { staleTime } from "../../core/schedule.ts";
import type { PlanRow, Survey, SurveyedConsumer, SurveyedRotation } from "../../core/survey.ts";
import { planRows } from "../../core/survey.ts";
import { belongsTo, issuedOn } from "../../core/tags.ts";
import type { RotatorError } from "../../errors.ts";
import type { Freshness } from "../../events.ts";
import type { SecretProperties } from "../../ports.ts";

/** One rotation as the page shows it. */
export interface Row {
  readonly rotation: string;
  /** Of the output that is worst off. */
  readonly freshness: Freshness;
  readonly attention: boolean;
  readonly plan: PlanRow;
  /** Outputs with the same health and times are one. */
  readonly outputs: readonly OutputRow[];
  readonly consumers: readonly SurveyedConsumer[];
  /** Why nothing is known of the vault, where nothing is. */
  readonly error?: RotatorError;
  /** What it came to in this process, where it was tried. */
  readonly latest?: Attempt;
}

export interface OutputRow {
  readonly secrets: readonly { readonly name: string; readonly vault: string }[];
  readonly freshness: Freshness;
  readonly life?: Life;
}

/** The times of the current version. Milliseconds since the epoch. */
export interface Life {
  readonly issuedAt: number;
  /** Absent for a version that the rotator did not write. */
  readonly renewAt?: number;
  /** From here on a reader may come to hold an expired token. */
  readonly staleAt: number;
  readonly expiresAt: number;
}

const urgency: readonly Freshness[] = [
  "expired",
  "missing",
  "blocked",
  "unknown",
  "stale",
  "due",
  "fresh",
  "paused",
];

/** For sorting: the worst first. */
export function byUrgency(a: Freshness, b: Freshness): number {
  return urgency.indexOf(a) - urgency.indexOf(b);
}

/** The rotations, the most urgent first, and among equals the one that expires first. */
export function pageRows(survey: Survey, history: History): Row[] {
  const plans = planRows(survey);
  const rows = survey.rotations.map((surveyed, index): Row => {
    const { rotation, decision, consumers } = surveyed;
    const outputs = outputRows(surveyed, survey.now);
    // Only where the configuration is so much at fault that it names no output there is none.
    const worst = outputs.map((output) => output.freshness).toSorted(byUrgency)[0] ?? "blocked";
    const latest = history.latest(rotation.name);
    return {
      rotation: rotation.name,
      freshness: worst,
      attention: needsAttention(worst) || consumers.some(({ state }) => state === "failed"),
      plan: plans[index] as PlanRow,
      outputs,
      consumers,
      ...(decision.error === undefined ? {} : { error: decision.error }),
      ...(latest === undefined ? {} : { latest }),
    };
  });
  return rows.toSorted((a, b) => rank(a) - rank(b) || expiry(a) - expiry(b));
}

function outputRows({ rotation, decision }: SurveyedRotation, now: number): OutputRow[] {
  const groups = new Map<string, OutputRow & { readonly secrets: { name: string; vault: string }[] }>();
  for (const judged of decision.outputs) {
    const { output, state } = judged;
    const word = freshness(rotation, decision, judged, now);
    const life = state.kind === "present" ? lifeOf(rotation, state.properties) : undefined;
    const key = JSON.stringify([word, life]);
    const group = groups.get(key) ?? {
      secrets: [],
      freshness: word,
      ...(life === undefined ? {} : { life }),
    };
    group.secrets.push({ name: output.secret, vault: output.vault });
    groups.set(key, group);
  }
  return [...groups.values()];
}

function lifeOf(rotation: Rotation, properties: SecretProperties): Life | undefined {
  const expiresAt = properties.expiresOn?.getTime();
  const issuedAt = issuedOn(properties) ?? properties.createdOn?.getTime();
  if (expiresAt === undefined || issuedAt === undefined) {
    return undefined;
  }
  return {
    issuedAt,
    ...(belongsTo(properties, rotation.name) ? { renewAt: renewAt(rotation, properties) } : {}),
    staleAt: staleTime(expiresAt, rotation.timing),
    expiresAt,
  };
}

/** A consumer that was not brought up to date comes after what expires and before what is merely due. */
function rank(row: Row): number {
  const place = urgency.indexOf(row.freshness);
  return row.attention ? Math.min(place, urgency.indexOf("due") - 0.5) : place;
}

function expiry({ outputs }: Row): number {
  return Math.min(...outputs.map(({ life }) => life?.expiresAt ?? Number.POSITIVE_INFINITY));
}
