/*
 * `npm run infra`: builds and lints every Bicep template and parameter file, with no output but findings; a warning fails
 * it. Uses the Bicep compiler where `bicep` is on the PATH, otherwise the checker `check-bicep` where it lies in
 * `shared/tools` beside the repository. Where there is neither it fails: a check that did not run is no pass.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Run {
  /** `undefined` where the program could not be started. */
  readonly status: number | undefined;
  /** What it wrote to both streams but the template itself. */
  readonly output: string;
}

export interface Tools {
  run(command: string, args: readonly string[]): Run;
  /** Path of the other checker, where it exists. */
  readonly checker: string | undefined;
}

export interface Verdict {
  readonly passed: boolean;
  readonly lines: readonly string[];
}

const root = fileURLToPath(new URL("..", import.meta.url));

/** Checks the files, given relative to the repository. */
export function checkInfra(files: readonly string[], tools: Tools): Verdict {
  if (tools.run("bicep", ["--version"]).status === 0) {
    return verdict("bicep", files, (file) => compile(file, tools));
  }
  const { checker } = tools;
  if (checker !== undefined) {
    return verdict("check-bicep", files, (file) => tools.run(process.execPath, [checker, file]));
  }
  return {
    passed: false,
    lines: ["Nothing was checked: put the Bicep compiler on the PATH (`az bicep install` fetches it)."],
  };
}

/** Everything that can be deployed by itself; what it is made of is checked with it. */
export function entryFiles(): string[] {
  return ["infra", "infra/examples"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => /\.bicep(param)?$/.test(file))
      .map((file) => `${folder}/${file}`)
      .sort(),
  );
}

function compile(file: string, { run }: Tools): Run {
  const build = file.endsWith(".bicepparam") ? "build-params" : "build";
  const runs = [run("bicep", [build, file, "--stdout"]), run("bicep", ["lint", file])];
  const output = [...new Set(runs.flatMap(({ output }) => output.split(/\r?\n/)))].join("\n");
  // The compiler ends with 0 when all that it found are warnings.
  const isClean = runs.every(({ status }) => status === 0) && !/ : (?:Warning|Error) /.test(output);
  return { status: isClean ? 0 : 1, output };
}

function verdict(name: string, files: readonly string[], check: (file: string) => Run): Verdict {
  const runs = files.map(check);
  const failed = runs.filter(({ status }) => status !== 0).length;
  const findings = runs.flatMap(({ output }) => output.split(/\r?\n/).filter((line) => line.trim() !== ""));
  return {
    passed: failed === 0,
    lines: [...findings, `${name}: ${files.length} files, ${failed} with findings`],
  };
}

if (import.meta.main) {
  const checker = join(root, "../shared/tools/check-bicep/check-bicep.mjs");
  const { passed, lines } = checkInfra(entryFiles(), {
    checker: existsSync(checker) ? checker : undefined,
    run: (command, args) => {
      const { status, stdout, stderr } = spawnSync(command, args, {
        cwd: root,
        encoding: "utf8",
        maxBuffer: 2 ** 26,
        // What the parameter file reads from the environment and has no default for.
        env: { AZURE_ENV_NAME: "check", AZURE_LOCATION: "westeurope", ...process.env },
      });
      const isTemplate = args.includes("--stdout");
      return { status: status ?? undefined, output: `${isTemplate ? "" : (stdout ?? "")}${stderr ?? ""}` };
    },
  });
  for (const line of lines) {
    console.log(line);
  }
  process.exitCode = passed ? 0 : 1;
}
