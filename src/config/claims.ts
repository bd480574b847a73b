import type { SecretReference } from "../ports.ts";
import type { Findings } from "./findings.ts";
import type { JsonPath } from "./json.ts";
import { type ConfigProblemCode, pointerOf } from "./problems.ts";

/**
 * Who writes or reads what, over all rotations. The first to name a thing has it; the problem is reported at the later
 * one and says where the first is. Names are compared as Key Vault and Azure do: without regard to case.
 */
export class Claims {
  readonly #findings: Findings;
  readonly #holders = new Map<
    string,
    { readonly path: JsonPath; readonly by: "output" | "source" | "other" }
  >();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** An output's secret: nobody else may write it, and no source may depend on it. */
  output(path: JsonPath, secret: SecretReference): void {
    const holder = this.#claim(secretKey(secret), path, "output");
    if (holder !== undefined) {
      const remedy =
        holder.by === "source"
          ? "publishing would overwrite what the source reads, so give the output another name"
          : "give every output a name of its own";
      this.#report(path, "DuplicateSecret", `is also the secret of ${pointerOf(holder.path)}; ${remedy}`);
    }
  }

  /** A secret that a source reads or keeps. Sources may share one; an output may not have it. */
  sourceSecret(path: JsonPath, secret: SecretReference): void {
    const holder = this.#claim(secretKey(secret), path, "source");
    if (holder?.by === "output") {
      const text = `is also the secret of ${pointerOf(holder.path)}; the output would overwrite it, so name another one`;
      this.#report(path, "DuplicateSecret", text);
    }
  }

  /** A secret of a consumer, which takes its value from one output. */
  binding(path: JsonPath, kind: string, target: string, secret: string): void {
    const holder = this.#claim(`${kind}\n${target}\n${secret}`, path, "other");
    if (holder !== undefined) {
      const text = `is already fed by ${pointerOf(holder.path)}; one secret of a consumer takes one output`;
      this.#report(path, "DuplicateBinding", text);
    }
  }

  /** A file that holds one output and nothing else. */
  file(path: JsonPath, file: string): void {
    const holder = this.#claim(`file\n${file}`, path, "other");
    if (holder !== undefined) {
      const text = `is already written by ${pointerOf(holder.path)}; give every file a path of its own`;
      this.#report(path, "DuplicateFile", text);
    }
  }

  #claim(key: string, path: JsonPath, by: "output" | "source" | "other") {
    const holder = this.#holders.get(key.toLowerCase());
    if (holder === undefined) {
      this.#holders.set(key.toLowerCase(), { path, by });
    }
    return holder;
  }

  #report(path: JsonPath, code: ConfigProblemCode, text: string): void {
    this.#findings.report(path, code, text);
  }
}

function secretKey({ vault, secret }: SecretReference): string {
  return `${vault}/secrets/${secret}`;
}
