import { parseDuration } from "../config/duration.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import { troubles } from "../simulation/chaos.ts";
import { type NamedOutage, outagePlaces, recurring } from "../simulation/namedOutages.ts";
import { mostSkewMs } from "../simulation/obstacles.ts";
import { Simulation } from "../simulation/simulation.ts";
import { isGood, summaryOf } from "../simulation/summary.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { progressBar } from "./progressBar.ts";
import { openConfiguration } from "./rotator.ts";
import { simulationReport } from "./simulationReport.ts";

const simulateProblems = problems({
  DaysNotUnderstood: {
    message: "The number of days is not a whole number from 1 to 3660.",
    remedy: "Write `--days 30`, or `--year`.",
    retryable: false,
  },
  SeedNotUnderstood: {
    message: "The seed is not a whole number.",
    remedy: "Write `--seed 7`.",
    retryable: false,
  },
  OutageNotUnderstood: {
    message: "The outage is not a place and a duration.",
    remedy:
      "Write `--outage identity:2h`, or `--outage vault:30m/7d` for once a week; the places are identity, vault, provider, apps and timer.",
    retryable: false,
  },
  ShareNotUnderstood: {
    message: "The share is not a percentage.",
    remedy: "Write it as `30%`.",
    retryable: false,
  },
  TooManyCallsFail: {
    message: "With so many calls failing no tick comes to its end, and a fault cannot be told from a defect.",
    remedy: "Give `--calls-failed` 25% at most; for a service that is gone there is `--outage`.",
    retryable: false,
  },
  SkewNotUnderstood: {
    message: "The clock skew is not a duration of five minutes at most.",
    remedy:
      "Write `--clock-skew 3m`; with clocks that differ by more than five minutes Entra ID takes no token.",
    retryable: false,
  },
  NothingToSimulate: {
    message: "The configuration has no rotation that could be run.",
    remedy: "Run `token-rotator validate`: it names every problem and how to mend it.",
    retryable: false,
  },
});

interface SimulateOptions extends CommonOptions {
  readonly days: string;
  readonly year?: boolean;
  readonly seed: string;
  readonly outage: readonly string[];
  readonly ticksLost: string;
  readonly ticksKilled: string;
  readonly callsFailed: string;
  readonly clockSkew?: string;
  readonly chaos?: boolean;
}

const dayMs = 24 * 60 * 60_000;
const mostDays = 3_660;
const mostCallsFailed = 0.25;

/** Runs the rotations of the configuration through virtual time. Nothing outside of this process is touched. */
export async function action(io: Io, options: SimulateOptions): Promise<ExitCode> {
  const days = options.year ? 365 : wholeNumber(options.days, simulateProblems.DaysNotUnderstood);
  if (days < 1 || days > mostDays) {
    throw usage(simulateProblems.DaysNotUnderstood, options.days);
  }
  const seed = wholeNumber(options.seed, simulateProblems.SeedNotUnderstood);
  const outages = options.outage.map(outageOf);
  const timer = { lost: shareOf(options.ticksLost), killed: shareOf(options.ticksKilled) };
  const noise = shareOf(options.callsFailed);
  if (noise > mostCallsFailed) {
    throw usage(simulateProblems.TooManyCallsFail, options.callsFailed);
  }
  const clockSkewMs = options.clockSkew === undefined ? 0 : skewOf(options.clockSkew);

  // A deployment often names the vault in the environment only; any name will do here.
  const environment = { KEY_VAULT_URL: "https://simulated.vault.azure.net", ...io.environment };
  const configuration = await openConfiguration({ ...io, environment }, options);
  if (configuration.rotations.every(({ state }) => state === "blocked")) {
    throw usage(simulateProblems.NothingToSimulate);
  }
  const simulation = new Simulation({
    configuration,
    seed,
    durationMs: days * dayMs,
    latencyMs: 0,
    noise,
    timer,
    clockSkewMs,
    actors: [...outages.map(recurring), ...(options.chaos ? Object.values(troubles) : [])],
  });
  const show = progressBar(io, `${days} days`);
  const { stackTraceLimit } = Error;
  // Tens of thousands of errors are part of the play, and to note where each was made takes longer than to make it.
  Error.stackTraceLimit = 0;
  try {
    await simulation.run({ signal: io.signal, onHour: show });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    show(undefined);
  }
  const summary = summaryOf(simulation);
  if (options.json) {
    printJson(io, summary);
  } else {
    io.stdout.write(simulationReport(io.stdout, summary));
  }
  return isGood(summary) ? 0 : 1;
}

type SimulateProblem = (typeof simulateProblems)[keyof typeof simulateProblems];

function usage(problem: SimulateProblem, given?: string): RotatorError {
  const facts = given === undefined ? {} : { given };
  return asRotatorError(new RotatorError(problem, { facts }), "configure");
}

function wholeNumber(text: string, problem: SimulateProblem): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw usage(problem, text);
  }
  return Number(text);
}

function shareOf(text: string): number {
  const percent = Number(/^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text)?.[1]);
  if (!(percent <= 100)) {
    throw usage(simulateProblems.ShareNotUnderstood, text);
  }
  return percent / 100;
}

function skewOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms > mostSkewMs) {
    throw usage(simulateProblems.SkewNotUnderstood, text);
  }
  return ms;
}

/** `identity:2h` once a day, or every four times its length where that is longer; `identity:2h/7d` as often as it says. */
function outageOf(text: string): NamedOutage {
  const [, place, length = "", often] = /^([a-z]+):([0-9a-z]+)(?:\/([0-9a-z]+))?$/.exec(text) ?? [];
  const what = outagePlaces.find((candidate) => candidate === place);
  const lastsMs = parseDuration(length);
  const everyMs = often === undefined ? Math.max(dayMs, 4 * (lastsMs ?? 0)) : parseDuration(often);
  if (what === undefined || lastsMs === undefined || everyMs === undefined || everyMs < lastsMs) {
    throw usage(simulateProblems.OutageNotUnderstood, text);
  }
  return { what, lastsMs, everyMs };
}
