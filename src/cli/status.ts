import { needsAttention } from "../core/freshness.ts";
import type { StatusRow } from "../core/survey.ts";
import { blockingProblems, statusRows } from "../core/survey.ts";
import { asRotatorError } from "../errors.ts";
import type { Rotator } from "../rotator.ts";
import { errorText, printError } from "./errors.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { openLiveText } from "./liveText.ts";
import { openRotator } from "./rotator.ts";
import { statusTable } from "./statusTable.ts";

interface StatusOptions extends CommonOptions {
  readonly watch?: boolean;
}

const watchEveryMs = 5_000;

/** Shows the health of every output, once or until Ctrl-C. */
export async function action(io: Io, options: StatusOptions): Promise<ExitCode> {
  const rotator = await openRotator(io, options);
  return options.watch ? await watch(io, options, rotator) : await once(io, options, rotator);
}

async function once(io: Io, options: StatusOptions, rotator: Rotator): Promise<ExitCode> {
  const survey = await rotator.survey({ signal: io.signal });
  const rows = statusRows(survey);
  if (options.json) {
    printJson(io, rows);
  } else {
    io.stdout.write(statusTable(io.stdout, rows, io.clock.now()));
  }
  for (const error of blockingProblems(survey)) {
    printError(io, error);
  }
  return exitCode(rows);
}

/** A live table at a terminal; elsewhere, one table (or JSON document) after the other. */
async function watch(io: Io, options: StatusOptions, rotator: Rotator): Promise<ExitCode> {
  using live = await openLiveText(options.json ? { ...io.stdout, isTerminal: false } : io.stdout);
  let code: ExitCode = 0;
  while (!io.signal.aborted) {
    try {
      const survey = await rotator.survey({ signal: io.signal });
      const rows = statusRows(survey);
      code = exitCode(rows);
      const problems = blockingProblems(survey).map((error) => errorText(io.stdout, error));
      const table = () => [statusTable(io.stdout, rows, io.clock.now()), ...problems].join("");
      live.show(options.json ? `${JSON.stringify(rows)}\n` : table());
    } catch (error) {
      if (io.signal.aborted) {
        break;
      }
      // The next look may be luckier, and nobody would start the watch again at night.
      code = 1;
      printError(io, asRotatorError(error));
    }
    await io.clock.sleep(watchEveryMs, io.signal).catch(() => {});
  }
  return code;
}

function exitCode(rows: readonly StatusRow[]): ExitCode {
  return rows.some(({ freshness }) => needsAttention(freshness)) ? 1 : 0;
}
