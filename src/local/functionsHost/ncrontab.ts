import { Cron } from "croner";
import { problems, RotatorError } from "../../errors.ts";

/** When a timer function is due. Times are milliseconds since the epoch; the calendar is UTC, as on a Linux plan. */
export interface Schedule {
  readonly expression: string;
  /** The first occurrence strictly after that time. */
  next(after: number): number;
  /** Due more than once a minute. The Functions runtime keeps no status for such a timer. */
  readonly subMinute: boolean;
}

/**
 * Reads an NCRONTAB expression: six fields that begin with seconds, or five without them.
 *
 * The grammar is that of the NCrontab library that the Functions runtime uses. It differs from the usual cron in what is
 * refused (7 for Sunday, `L`, `W`, `#`, `@daily`), in what is allowed (`5/15`, any prefix of a name, a range that runs
 * backwards), and in that a day must match the day of the month *and* the day of the week. Every field is therefore
 * expanded to its numbers here, and croner only does the calendar.
 * @throws RotatorError `ScheduleInvalid`
 */
export function parseNcrontab(expression: string): Schedule {
  const texts = expression.trim().split(/\s+/);
  if (texts.length === 5) {
    texts.unshift("0");
  }
  const values = fields.map((field, index) => expand(texts[index] ?? "", field));
  if (texts.length !== fields.length || values.some((numbers) => numbers === undefined)) {
    throw invalid(expression);
  }
  const parts = values.map((numbers, index) => {
    const { min, max } = fields[index] as Field;
    return numbers?.length === max - min + 1 ? "*" : (numbers ?? []).join(",");
  });
  const cron = new Cron(parts.join(" "), { mode: "6-part", timezone: "UTC", domAndDow: true, paused: true });
  const next = (after: number) => {
    const occurrence = cron.nextRun(new Date(after));
    if (occurrence === null) {
      throw invalid(expression);
    }
    return occurrence.getTime();
  };
  // An expression that no calendar day matches (31 February) is refused here and not when it is first waited for.
  next(0);
  const subMinute = (values[0]?.length ?? 0) > 1 && parts.slice(1).every((part) => part === "*");
  return { expression, next, subMinute };
}

const { ScheduleInvalid } = problems({
  ScheduleInvalid: {
    message: "The schedule of a timer function is not a valid NCRONTAB expression.",
    remedy:
      "Write six fields {second} {minute} {hour} {day} {month} {day of week}, for example 0 */5 * * * *.",
    retryable: false,
  },
});

function invalid(expression: string): RotatorError {
  return new RotatorError(ScheduleInvalid, { facts: { schedule: expression } });
}

interface Field {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const months = "january february march april may june july august september october november december".split(
  " ",
);
const days = "sunday monday tuesday wednesday thursday friday saturday".split(" ");

const fields: readonly Field[] = [
  { min: 0, max: 59 },
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: months },
  { min: 0, max: 6, names: days },
];

/** The numbers that a field stands for, in order; `undefined` where it is not one. */
function expand(text: string, field: Field): number[] | undefined {
  const numbers = new Set<number>();
  for (const item of text.split(",")) {
    const match = /^(?<first>\*|\w+)(?:-(?<last>\w+))?(?:\/(?<step>\d{1,9}))?$/.exec(item);
    if (match?.groups === undefined) {
      return undefined;
    }
    const { first, last, step } = match.groups;
    const every = step === undefined ? 1 : Number(step);
    const range = first === "*" ? [field.min, field.max] : bounds(first ?? "", last, step, field);
    const [from, to] = range as [number | undefined, number | undefined];
    if (from === undefined || to === undefined || every === 0 || (first === "*" && last !== undefined)) {
      return undefined;
    }
    for (let number = Math.min(from, to); number <= Math.max(from, to); number += every) {
      numbers.add(number);
    }
  }
  return [...numbers].sort((a, b) => a - b);
}

function bounds(first: string, last: string | undefined, step: string | undefined, field: Field) {
  const from = numberOf(first, field);
  if (last !== undefined) {
    return [from, numberOf(last, field)];
  }
  // `5/15` is every 15th from 5 on; `5` alone is 5.
  return [from, step === undefined ? from : field.max];
}

function numberOf(text: string, { min, max, names }: Field): number | undefined {
  if (/^\d{1,9}$/.test(text)) {
    const value = Number(text);
    return value >= min && value <= max ? value : undefined;
  }
  const index = names?.findIndex((name) => name.startsWith(text.toLowerCase())) ?? -1;
  return index === -1 ? undefined : index + min;
}
