import { type ConfigProblem, type ConfigProblemCode, configProblem } from "./problems.ts";

/** Problems as they are found, kept by the rotation that each one blocks. */
export class Findings {
  /** Faults of the document itself. */
  readonly general: ConfigProblem[] = [];
  readonly #byRotation = new Map<string, ConfigProblem[]>();

  report(path: readonly (string | number)[], code: ConfigProblemCode, text: string): void {
    this.add(path, configProblem(path, code, text));
  }

  /** `path` tells which rotation is meant; the problem's own path may not show its name. */
  add(path: readonly (string | number)[], problem: ConfigProblem): void {
    const problems = this.#of(path);
    // Of a misplaced secret it is enough to hear that it is one, not also that it is no GUID.
    if (!problems.some(({ code, pointer }) => code === "LiteralSecret" && pointer === problem.pointer)) {
      problems.push(problem);
    }
  }

  ofRotation(name: string): readonly ConfigProblem[] {
    return this.#byRotation.get(name) ?? [];
  }

  #of(path: readonly (string | number)[]): ConfigProblem[] {
    const [section, rotation] = path;
    if (section !== "rotations" || typeof rotation !== "string") {
      return this.general;
    }
    const problems = this.#byRotation.get(rotation) ?? [];
    this.#byRotation.set(rotation, problems);
    return problems;
  }
}
