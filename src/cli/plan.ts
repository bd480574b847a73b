import type { PlanRow } from "../core/survey.ts";
import { blockingProblems, planRows } from "../core/survey.ts";
import { printError } from "./errors.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import type { Colour } from "./paint.ts";
import { paint } from "./paint.ts";
import { openRotator } from "./rotator.ts";
import { table } from "./table.ts";

/** Prints the decisions that a tick would make now. */
export async function action(io: Io, options: CommonOptions): Promise<ExitCode> {
  const rotator = await openRotator(io, options);
  const survey = await rotator.survey({ signal: io.signal });
  const rows = planRows(survey);
  if (options.json) {
    printJson(io, rows);
  } else {
    io.stdout.write(table(["ROTATION", "ACTION", "REASON", "OUTPUTS", "CONSUMERS"], rows.map(cells(io))));
  }
  for (const error of blockingProblems(survey)) {
    printError(io, error);
  }
  return rows.some((row) => row.action === "blocked") ? 1 : 0;
}

const colours: Record<PlanRow["action"], Colour> = {
  rotate: "yellow",
  propagate: "yellow",
  none: "dim",
  blocked: "red",
};

function cells(io: Io): (row: PlanRow) => string[] {
  return ({ rotation, action, reason, outputs, consumers }) => [
    rotation,
    paint(io.stdout, colours[action], action),
    reason,
    outputs.map(({ secret }) => secret).join(", "),
    consumers.map(({ name, state }) => `${lastSegment(name)}: ${state}`).join(", "),
  ];
}

function lastSegment(resourceId: string): string {
  return resourceId.slice(resourceId.lastIndexOf("/") + 1);
}
