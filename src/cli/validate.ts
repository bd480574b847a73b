import type { ReadyRotation } from "../config/configuration.ts";
import { formatDuration } from "../config/duration.ts";
import { formatProblems } from "../config/problems.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { openConfiguration } from "./rotator.ts";

/** Checks the configuration; nothing but the file is read. */
export async function action(io: Io, options: CommonOptions): Promise<ExitCode> {
  const configuration = await openConfiguration(io, options);
  const { file, problems, rotations, hash } = configuration;
  const ready = rotations.filter((rotation) => rotation.state === "ready");
  if (options.json) {
    printJson(io, {
      file,
      valid: problems.length === 0,
      configuration: hash,
      rotations: ready.map(({ name, budget }) => ({ rotation: name, budget })),
      problems,
    });
  } else if (problems.length > 0) {
    io.stderr.write(`${formatProblems(problems, { file })}\n`);
  } else {
    io.stdout.write(`${file} is valid: ${ready.length} rotations.\n${budgets(ready)}`);
  }
  return problems.length === 0 ? 0 : 2;
}

function budgets(rotations: readonly ReadyRotation[]): string {
  return rotations.map(({ name, budget }) => `  ${name}: ${budgetText(budget)}\n`).join("");
}

function budgetText(budget: ReadyRotation["budget"]): string {
  return `freshness budget ${formatDuration(budget.budgetMs)} (${budget.arithmetic})`;
}
