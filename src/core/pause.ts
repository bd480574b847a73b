import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { CallContext, SecretStore } from "../ports.ts";
import { gather } from "./gather.ts";
import type { Rotation } from "./rotation.ts";
import { outputKey } from "./rotation.ts";
import { belongsTo, tagNames } from "./tags.ts";

const pauseProblems = problems({
  NothingToPause: {
    message: "The rotation has no secret in the vault yet, so there is nothing that could carry the pause.",
    remedy: "Set `paused` in the configuration instead.",
    retryable: false,
  },
});

/**
 * Marks every output of the rotation as paused until that moment (`undefined`: until it is resumed), or takes the mark
 * away (`null`). The mark is a tag of the current version, so that every process sees it.
 *
 * @returns the names of the secrets that carry the change.
 * @throws RotatorError where no output of ours exists, or the vault refuses.
 */
export async function markPaused(
  rotation: Rotation,
  until: Date | undefined | null,
  storeOf: (vault: string) => SecretStore,
  context: CallContext,
): Promise<string[]> {
  const states = await gather([rotation], storeOf, context);
  const marked: string[] = [];
  for (const output of rotation.outputs) {
    const state = states.get(outputKey(output));
    if (state?.kind === "unknown") {
      throw asRotatorError(state.error, "gather");
    }
    if (state?.kind !== "present" || !belongsTo(state.properties, rotation.name)) {
      continue;
    }
    const { [tagNames.pausedUntil]: _, ...tags } = state.properties.tags;
    const mark = until === null ? {} : { [tagNames.pausedUntil]: until?.toISOString() ?? "forever" };
    await storeOf(output.vault).replaceTags(output.secret, { ...tags, ...mark }, context);
    marked.push(output.secret);
  }
  if (marked.length === 0 && until !== null) {
    throw new RotatorError(pauseProblems.NothingToPause, { facts: { rotation: rotation.name } });
  }
  return marked;
}
