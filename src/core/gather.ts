import { asRotatorError } from "../errors.ts";
import type { CallContext, SecretState, SecretStore } from "../ports.ts";
import type { Rotation } from "./rotation.ts";
import { outputKey } from "./rotation.ts";

/**
 * Reads the state of every output of every rotation, vault by vault, without reading a value. A vault that cannot be read
 * leaves its outputs `unknown`; the others are not held up by it.
 */
export async function gather(
  rotations: readonly Rotation[],
  storeOf: (vault: string) => SecretStore,
  context: CallContext,
): Promise<Map<string, SecretState>> {
  const names = new Map<string, string[]>();
  for (const { outputs } of rotations) {
    for (const { vault, secret } of outputs) {
      const ofVault = names.get(vault) ?? [];
      ofVault.push(secret);
      names.set(vault, ofVault);
    }
  }
  const states = new Map<string, SecretState>();
  await Promise.all(
    [...names].map(async ([vault, secrets]) => {
      let found: ReadonlyMap<string, SecretState>;
      try {
        found = await storeOf(vault).inspect(secrets, context);
      } catch (error) {
        const unknown: SecretState = { kind: "unknown", error: asRotatorError(error, "gather") };
        found = new Map(secrets.map((secret) => [secret, unknown]));
      }
      for (const secret of secrets) {
        states.set(outputKey({ vault, secret }), found.get(secret) ?? { kind: "absent" });
      }
    }),
  );
  return states;
}
