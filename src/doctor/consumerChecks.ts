import type { Survey, SurveyedConsumer } from "../core/survey.ts";
import { type Check, failed } from "./check.ts";
import { type Principal, roleCommand } from "./roleCommand.ts";

/** What every consumer says when it is looked at; nothing is changed there. */
export function checkConsumers({ rotations }: Survey, principal: Principal | undefined): Check[] {
  const asked = new Map<string, { consumer: SurveyedConsumer; hasOutput: boolean }>();
  for (const { decision, consumers } of rotations) {
    for (const consumer of consumers) {
      const hasOutput = decision.outputs.some(
        ({ output, state }) => output.secret === consumer.output && state.kind === "present",
      );
      const known = asked.get(consumer.name);
      asked.set(consumer.name, { consumer, hasOutput: hasOutput || (known?.hasOutput ?? false) });
    }
  }
  return [...asked.values()].map(({ consumer, hasOutput }) => toCheck(consumer, hasOutput, principal));
}

function toCheck(
  { name, state, error }: SurveyedConsumer,
  hasOutput: boolean,
  principal: Principal | undefined,
): Check {
  const check = `consumer ${name.slice(name.lastIndexOf("/") + 1)}`;
  if (error !== undefined) {
    return failed(check, error, roleCommand(error, principal));
  }
  if (!hasOutput) {
    return {
      check,
      state: "warn",
      message: "It was not asked, because nothing that it takes is in the vault yet.",
      remedy: "Run this again after the first tick.",
    };
  }
  const untried = "whether it may be updated and restarted cannot be tried without doing it";
  return state === "behind"
    ? {
        check,
        state: "warn",
        message: `May be read; ${untried}. It does not hold the newest version: the next tick sees to it.`,
      }
    : { check, state: "ok", message: `May be read, and is ${state}; ${untried}.` };
}
