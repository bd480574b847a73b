import { runnerProblems } from "../app/runner.ts";
import { RotatorError } from "../errors.ts";
import { json } from "./answers.ts";
import type { Answer } from "./endpoint.ts";
import { outcomeRow } from "./outcomeRow.ts";
import { httpTickMs } from "./rotate.ts";

/**
 * A tick over all rotations: 200 with every outcome once it is done, 202 where one is under way already. Whoever calls may
 * hang up; the tick goes on. The body is not read: an alert sends its own story there.
 */
export const wake: Answer = async ({ runner, invocation }) => {
  try {
    const { rotations } = await runner.tickNow({ deadlineMs: httpTickMs }, invocation);
    return json(200, rotations.map(outcomeRow));
  } catch (error) {
    if (error instanceof RotatorError && error.code === runnerProblems.TickRunning.code) {
      return json(202, { running: true });
    }
    throw error;
  }
};
