import type { RotationResult } from "../core/result.ts";
import { isFailure } from "../core/result.ts";
import { json } from "./answers.ts";
import type { Answer } from "./endpoint.ts";
import { outcomeRow } from "./outcomeRow.ts";
import { rotateOptions, rotationName } from "./requestInput.ts";

/** Azure's front end gives up on a request after 230 s; what is not done by then, the next tick goes on with. */
export const httpTickMs = 200_000;

/**
 * A tick over one rotation, as the app's own identity. 200 with the outcome; 202 where the platform or the next tick goes on
 * with it by itself; 500 where it failed.
 */
export const rotate: Answer = async ({ runner, request, invocation }) => {
  const name = rotationName(request);
  const { force } = await rotateOptions(request);
  const report = await runner.tickNow({ names: [name], force, deadlineMs: httpTickMs }, invocation);
  const [result] = report.rotations as [RotationResult];
  return json(statusOf(result), outcomeRow(result));
};

function statusOf({ outcome }: RotationResult): number {
  if (outcome === "RestartPending" || outcome === "NotReached") {
    return 202;
  }
  return isFailure(outcome) ? 500 : 200;
}
