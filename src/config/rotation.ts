import * as z from "zod";
import type { SecretReference } from "../ports.ts";
import type { FreshnessBudget } from "./budget.ts";
import { Claims } from "./claims.ts";
import type { ReadyRotation, SourceConfiguration } from "./configuration.ts";
import { complaintsAboutMount } from "./delivery.ts";
import { secretName, vaultUrl } from "./fields.ts";
import type { Findings } from "./findings.ts";
import { type Checked, check, nearest } from "./issues.ts";
import type { JsonPath } from "./json.ts";
import { referencesOf } from "./references.ts";
import type { Registries } from "./registries.ts";
import {
  isObject,
  listOf,
  pluginOf,
  type RotationFields,
  resolveBudget,
  resolveRotation,
  resolveSources,
  Shared,
  type Surroundings,
  vaultOr,
} from "./resolve.ts";
import { defaultFormat, outputFields, rotationSchema } from "./schema.ts";

export interface RotationPart {
  /** Absent where the rotation is not of the right shape. */
  readonly ready?: ReadyRotation;
  /** The outputs as far as they can be read. */
  readonly outputs: readonly SecretReference[];
}

/** By position; `undefined` where the name or the vault cannot be read. */
type NamedOutputs = readonly (SecretReference | undefined)[];

/**
 * Reads one rotation after the other and reports what is wrong in each, and where two get into each other's way. As much
 * is checked as can be read, so that one fault does not hide the next.
 */
export class RotationReader {
  readonly #registries: Registries;
  readonly #schema: ReturnType<typeof rotationSchema>;
  readonly #surroundings: Surroundings;
  readonly #findings: Findings;
  readonly #claims: Claims;
  readonly #shared = new Shared();

  constructor(registries: Registries, surroundings: Surroundings, findings: Findings) {
    this.#registries = registries;
    this.#schema = rotationSchema(registries);
    this.#surroundings = surroundings;
    this.#findings = findings;
    this.#claims = new Claims(findings);
  }

  read(path: readonly ["rotations", string], raw: unknown): RotationPart {
    const checked = check(this.#schema, raw, path);
    this.#report(path, checked);
    this.#checkCommonFields(path, raw);
    const fields: RotationFields = checked.ok ? checked.value : this.#readableFields(raw);
    const named = this.#namedOutputs(raw);
    this.#claimSecrets(path, fields, named);
    this.#checkFormats(path, fields);
    this.#checkReferences(path, fields, named);
    this.#checkMount(path, fields, named);
    this.#claimTargets(path, fields);
    const sources = resolveSources(fields, this.#registries, this.#surroundings);
    const budget = checked.ok || decidesBudget(fields) ? this.#budget(path, fields, sources) : undefined;
    const outputs = named.flatMap((output) => (output === undefined ? [] : [output]));
    return checked.ok && budget !== undefined
      ? {
          ready: resolveRotation(path[1], checked.value, sources, budget, this.#surroundings, this.#shared),
          outputs,
        }
      : { outputs };
  }

  #report(path: JsonPath, checked: Checked<unknown>): void {
    for (const problem of checked.ok ? [] : checked.problems) {
      this.#findings.add(path, problem);
    }
  }

  #readableFields(raw: unknown): RotationFields {
    const fields = isObject(raw) ? raw : {};
    return Object.fromEntries(
      Object.entries(this.#schema.shape).flatMap(([name, schema]) => {
        const result = schema.safeParse(fields[name], { jitless: true });
        return result.success ? [[name, result.data]] : [];
      }),
    );
  }

  /** The fields that every output has, where its format is unknown and with it the rest. */
  #checkCommonFields(path: JsonPath, raw: unknown): void {
    for (const [index, output] of outputsOf(raw).entries()) {
      const format = isObject(output) ? (output.format ?? defaultFormat) : undefined;
      if (typeof format === "string" && !Object.hasOwn(this.#registries.formats, format)) {
        this.#report(path, check(outputFields, output, [...path, "outputs", index]));
      }
    }
  }

  #namedOutputs(raw: unknown): NamedOutputs {
    return outputsOf(raw).map((output) => {
      const fields = isObject(output) ? output : {};
      const secret = secretName(z).safeParse(fields.secret);
      const vault = vaultUrl(z).optional().safeParse(fields.vault);
      return secret.success && vault.success
        ? { secret: secret.data, vault: vaultOr(vault.data, this.#surroundings.vault) }
        : undefined;
    });
  }

  #claimSecrets(path: JsonPath, { source }: RotationFields, outputs: NamedOutputs): void {
    listOf(source).forEach((options, index) => {
      const at = Array.isArray(source) ? ["source", index] : ["source"];
      for (const { path: within, reference } of pluginOf(this.#registries.sources, options.kind).secrets(
        options,
      )) {
        const vault = vaultOr(reference.vault, this.#surroundings.vault);
        this.#claims.sourceSecret([...path, ...at, ...within], { secret: reference.secret, vault });
      }
    });
    outputs.forEach((output, index) => {
      if (output !== undefined) {
        this.#claims.output([...path, "outputs", index, "secret"], output);
      }
    });
  }

  #checkFormats(path: JsonPath, { outputs = [] }: RotationFields): void {
    outputs.forEach(({ secret: _secret, vault: _vault, adopt: _adopt, ...options }, index) => {
      const complaints = pluginOf(this.#registries.formats, options.format).check?.(options) ?? [];
      for (const { path: within, message } of complaints) {
        this.#findings.report([...path, "outputs", index, ...within], "InvalidValue", message);
      }
    });
  }

  #checkReferences(path: JsonPath, fields: RotationFields, outputs: NamedOutputs): void {
    for (const [at, name] of referencesOf(fields)) {
      const matches = outputs.filter((output) => output?.secret === name);
      if (matches.length === 0) {
        const names = outputs.flatMap((output, index) =>
          output === undefined ? [] : [{ word: output.secret, index }],
        );
        const near = nearest(name, names);
        const remedy =
          near === undefined
            ? "write the secret of one of them"
            : `did you mean the secret of outputs[${near.index}]?`;
        this.#findings.report(
          [...path, ...at],
          "UnknownOutput",
          `names none of the rotation's outputs; ${remedy}`,
        );
      } else if (matches.length > 1) {
        const text = "names outputs in several vaults; give the outputs of this rotation different names";
        this.#findings.report([...path, ...at], "AmbiguousOutput", text);
      }
    }
  }

  #checkMount(path: JsonPath, { kubernetes }: RotationFields, outputs: NamedOutputs): void {
    // What names no output at all has been reported already.
    const isKnown = ({ output }: { readonly output: string }) =>
      outputs.some((each) => each?.secret === output);
    if (
      kubernetes?.secretObjects.every(({ data }) => data.every(isKnown)) &&
      kubernetes.objects.every(isKnown)
    ) {
      for (const { path: within, message } of complaintsAboutMount(kubernetes)) {
        this.#findings.report([...path, "kubernetes", ...within], "InvalidValue", message);
      }
    }
  }

  #claimTargets(path: JsonPath, { consumers = [], files = [] }: RotationFields): void {
    consumers.forEach((options, index) => {
      const target = pluginOf(this.#registries.consumers, options.kind).target(options);
      this.#claims.binding([...path, "consumers", index, "secret"], options.kind, target, options.secret);
    });
    files.forEach((file, index) => {
      // The other kinds are merged into what is there.
      if (file.kind === "file") {
        this.#claims.file([...path, "files", index, "path"], file.path);
      }
    });
  }

  #budget(path: JsonPath, fields: RotationFields, sources: readonly SourceConfiguration[]): FreshnessBudget {
    const { budget, unsafe } = resolveBudget(fields, sources, this.#registries, this.#surroundings);
    for (const { code, reader, text } of unsafe) {
      this.#findings.report([...path, ...(code === "UnsafeMargin" ? ["margin"] : reader)], code, text);
    }
    return budget;
  }
}

function outputsOf(raw: unknown): readonly unknown[] {
  return isObject(raw) && Array.isArray(raw.outputs) ? raw.outputs : [];
}

/** Whether everything could be read that the budget is made of; else its arithmetic would be wrong. */
function decidesBudget(fields: RotationFields): boolean {
  return ["source", "lifetime", "margin", "propagation", "consumers", "kubernetes", "files"].every(
    (field) => field in fields,
  );
}
