import { parseDuration } from "../config/duration.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { openRotator } from "./rotator.ts";

const pauseProblems = problems({
  TimeNotUnderstood: {
    message: "The time that the pause is to end is neither a duration nor a point in time that lies ahead.",
    remedy: "Write a duration such as `2h`, or a time such as `2026-12-24T08:00:00Z`.",
    retryable: false,
  },
});

interface PauseOptions extends CommonOptions {
  readonly until?: string;
}

/** Marks the rotation's secrets as paused. */
export async function action(io: Io, options: PauseOptions, name: string): Promise<ExitCode> {
  const until = options.until === undefined ? undefined : endOf(options.until, io.clock.now());
  const rotator = await openRotator(io, options);
  const secrets = await rotator.pause(name, until);
  if (options.json) {
    printJson(io, { rotation: name, paused: true, ...(until && { until: until.toISOString() }), secrets });
  } else {
    const end = until === undefined ? "until `token-rotator resume` is run" : `until ${until.toISOString()}`;
    io.stdout.write(`${name} is paused ${end} (${secrets.join(", ")}).\n`);
  }
  return 0;
}

function endOf(text: string, now: number): Date {
  const durationMs = parseDuration(text);
  const end = durationMs === undefined ? Date.parse(text) : now + durationMs;
  if (!(end > now)) {
    throw asRotatorError(
      new RotatorError(pauseProblems.TimeNotUnderstood, { facts: { until: text } }),
      "configure",
    );
  }
  return new Date(end);
}
