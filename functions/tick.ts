import { app, type InvocationContext, type Timer } from "@azure/functions";
import { runTick } from "../src/functions.ts";

/** Brings every rotation up to date. Fails when a rotation failed, after every one was tried. */
export async function tick(timer: Timer, context: InvocationContext): Promise<void> {
  if (timer.isPastDue) {
    context.warn("The tick is past due: the app was not running when it should have fired.");
  }
  await runTick({
    pastDue: timer.isPastDue,
    invocationId: context.invocationId,
    log: (level, line) => context[level](line),
    traceParent: context.traceContext?.traceParent,
  });
}

// A setting and not a constant, so that the schedule can be changed without a deployment.
app.timer("tick", { schedule: "%ROTATION_SCHEDULE%", handler: tick });
