import { RotatorError } from "../errors.ts";
import type { WantedSecret } from "../ports.ts";
import { type Applied, appliedIn } from "./appliedTags.ts";
import type { HolderState } from "./containerAppApi.ts";
import { consumerProblems } from "./containerAppProblems.ts";

/** How a consumer takes a secret: as part of the options of its plug-in. */
export interface SecretBinding {
  readonly secret: string;
  readonly output: string;
  readonly mode: "value" | "key-vault-reference";
  readonly identity?: string | undefined;
}

export interface SecretComparison {
  readonly behind: readonly WantedSecret[];
  /** What cannot be served, and why; the others are. */
  readonly refused: readonly WantedSecret[];
  readonly errors: RotatorError[];
}

/** What the holder does not hold yet, by its own notes. */
export function compareSecrets(
  state: HolderState,
  wanted: readonly WantedSecret[],
  resource: string,
  bindings: readonly SecretBinding[],
): SecretComparison {
  const behind: WantedSecret[] = [];
  const refused: WantedSecret[] = [];
  const errors: RotatorError[] = [];
  for (const want of wanted) {
    const { secret } = want;
    const facts = { resource, secret };
    if (wanted.some((other) => other !== want && other.secret === secret)) {
      // Each of them would undo the other on every tick.
      refused.push(want);
      errors.push(new RotatorError(consumerProblems.ConsumerSecretFedTwice, { facts }));
    } else if (!state.secretNames.includes(secret)) {
      refused.push(want);
      errors.push(new RotatorError(consumerProblems.ConsumerSecretMissing, { facts }));
    } else if (!isApplied(state, secret, versionOf(want, bindings))) {
      behind.push(want);
    }
  }
  return { behind, refused, errors };
}

/** Whether all of it was sent before, in an update that failed. */
export function isSentBefore(
  state: HolderState,
  behind: readonly WantedSecret[],
  bindings: readonly SecretBinding[],
): boolean {
  return behind.every((want) => appliedIn(state.tags, want.secret)?.version === versionOf(want, bindings));
}

/** An update that failed may have left its tags behind. */
export function isApplied(state: HolderState, secret: string, version: string): boolean {
  return state.provisioning !== "failed" && appliedIn(state.tags, secret)?.version === version;
}

export function versionOf(want: WantedSecret, bindings: readonly SecretBinding[]): Applied["version"] {
  // A binding that changes its mode must be applied again although the version is the same.
  return bindingOf(want, bindings)?.mode === "key-vault-reference"
    ? `${want.operation} reference`
    : want.operation;
}

export function bindingOf(want: WantedSecret, bindings: readonly SecretBinding[]): SecretBinding | undefined {
  return bindings.find(({ secret, output }) => secret === want.secret && output === want.output);
}
