import leven from "leven";
import { asRotatorError, problems, RotatorError } from "./errors.ts";

const nameProblems = problems({
  RotationUnknown: {
    message: "The configuration has no rotation of that name.",
    remedy: "`token-rotator plan` lists the names.",
    retryable: false,
  },
});

/**
 * The rotations that somebody asked for by name, in that order and each once, or it would be carried out twice; all of them
 * where nobody did.
 * @throws RotatorError `RotationUnknown`
 */
export function rotationsNamed<Rotation extends { readonly name: string }>(
  rotations: readonly Rotation[],
  names: readonly string[] | undefined,
): readonly Rotation[] {
  if (names === undefined || names.length === 0) {
    return rotations;
  }
  return [...new Set(names)].map((name) => {
    const rotation = rotations.find((candidate) => candidate.name === name);
    if (rotation === undefined) {
      const facts = { name, ...suggestion(rotations, name) };
      throw asRotatorError(new RotatorError(nameProblems.RotationUnknown, { facts }), "configure");
    }
    return rotation;
  });
}

function suggestion(
  rotations: readonly { readonly name: string }[],
  wanted: string,
): { didYouMean?: string } {
  const [nearest] = rotations.map(({ name }) => name).toSorted((a, b) => leven(a, wanted) - leven(b, wanted));
  return nearest !== undefined && leven(nearest, wanted) <= 3 ? { didYouMean: nearest } : {};
}
