import type { Configuration, ReadyRotation } from "../config/configuration.ts";
import { formatDuration } from "../config/duration.ts";
import {
  type ConfigProblem,
  ConfigurationInvalidError,
  configProblem,
  formatProblems,
} from "../config/problems.ts";
import { asRotatorError } from "../errors.ts";
import { formats } from "../formats/registry.ts";
import type { FormatPlugin } from "../plugins.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { openConfiguration } from "./rotator.ts";

/** Checks the configuration; nothing but the file is read. */
export async function action(io: Io, options: CommonOptions): Promise<ExitCode> {
  const { file, hash, rotations, problems } = await check(io, options);
  const ready = rotations.filter((rotation) => rotation.state === "ready");
  if (options.json) {
    printJson(io, {
      file,
      valid: problems.length === 0,
      ...(hash === undefined ? {} : { configuration: hash }),
      rotations: ready.map(budgetOf),
      problems,
    });
  } else if (problems.length > 0) {
    io.stderr.write(`${formatProblems(problems, { file })}\n`);
  } else {
    const count = `${ready.length} rotation${ready.length === 1 ? "" : "s"}`;
    io.stdout.write(`${file} is valid: ${count}.\n${ready.map(budgetLine).join("")}`);
  }
  return problems.length === 0 ? 0 : 2;
}

type Checked = Pick<Configuration, "file" | "rotations" | "problems"> & { readonly hash?: string };

/** A configuration that cannot be used at all has problems too, and `--json` shows them in the same document. */
async function check(io: Io, options: CommonOptions): Promise<Checked> {
  try {
    const configuration = await openConfiguration(io, options);
    return {
      ...configuration,
      problems: [...configuration.problems, ...(await layoutProblems(configuration))],
    };
  } catch (error) {
    if (error instanceof ConfigurationInvalidError) {
      return { file: String(error.facts.file), rotations: [], problems: error.problems };
    }
    throw error;
  }
}

/** What only shows when a format is made: a template that cannot be parsed. */
async function layoutProblems({ rotations }: Configuration): Promise<ConfigProblem[]> {
  const found: ConfigProblem[] = [];
  for (const rotation of rotations) {
    for (const [index, output] of (rotation.state === "ready" ? rotation.outputs : []).entries()) {
      try {
        const plugin = formats[output.options.format as keyof typeof formats];
        await (plugin as unknown as FormatPlugin<typeof output.options>).create(output.options);
      } catch (error) {
        const { summary, remedy } = asRotatorError(error);
        const path = ["rotations", rotation.name, "outputs", index];
        found.push(configProblem(path, "InvalidValue", `cannot be laid out: ${summary}; ${remedy}`));
      }
    }
  }
  return found;
}

/** With the names of the outputs. */
function budgetOf({ name, budget, outputs }: ReadyRotation): object {
  const paths = budget.paths.map((path) => ({ ...path, output: outputs[path.output]?.secret }));
  return { rotation: name, budget: { ...budget, paths } };
}

function budgetLine({ name, budget }: ReadyRotation): string {
  return `  ${name}: freshness budget ${formatDuration(budget.budgetMs)} (${budget.arithmetic})\n`;
}
