import type { RotationResult } from "../core/result.ts";
import { isFailure } from "../core/result.ts";
import { rotateRow } from "../rotateRow.ts";
import { printError } from "./errors.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { paint } from "./paint.ts";
import { openRotator } from "./rotator.ts";
import { table } from "./table.ts";
import { shortDuration } from "./time.ts";

interface RotateOptions extends CommonOptions {
  readonly force?: boolean;
  readonly acceptSubject?: boolean;
}

/** One tick by hand, as whoever is signed in here. */
export async function action(io: Io, options: RotateOptions, names: readonly string[]): Promise<ExitCode> {
  const rotator = await openRotator(io, options);
  const { rotations } = await rotator.tick({
    names,
    force: options.force ?? false,
    acceptSubject: options.acceptSubject ?? false,
    signal: io.signal,
  });
  if (options.json) {
    printJson(io, rotations.map(rotateRow));
  } else {
    const head = ["ROTATION", "OUTCOME", "REASON", "EXPIRES IN", "TOOK"];
    io.stdout.write(table(head, rotations.map(cells(io))));
    for (const { error, warnings } of rotations) {
      for (const told of error === undefined ? warnings : [error, ...warnings]) {
        printError(io, told);
      }
    }
  }
  return rotations.some(({ outcome }) => isFailure(outcome)) ? 1 : 0;
}

function cells(io: Io): (result: RotationResult) => string[] {
  return ({ rotation, outcome, reason, expiresOn, durationMs }) => [
    rotation,
    paint(io.stdout, isFailure(outcome) ? "red" : outcome === "Fresh" ? "dim" : "green", outcome),
    reason,
    expiresOn === undefined ? "" : shortDuration((expiresOn.getTime() - io.clock.now()) / 1000),
    `${durationMs} ms`,
  ];
}
