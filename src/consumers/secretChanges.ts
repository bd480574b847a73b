import { asRotatorError, type RotatorError } from "../errors.ts";
import type { CallContext, WantedSecret } from "../ports.ts";
import type { HeldSecret } from "./containerAppApi.ts";
import { bindingOf, type SecretBinding, versionOf } from "./secretComparison.ts";

/** A secret as it is to be, and what is noted of it. */
export interface Change {
  readonly entry: HeldSecret;
  readonly version: string;
}

/** What is to be sent of every secret that is behind; one that cannot be loaded keeps no other one from being sent. */
export async function loadChanges(
  behind: readonly WantedSecret[],
  bindings: readonly SecretBinding[],
  context: CallContext,
): Promise<{ changes: Change[]; errors: RotatorError[] }> {
  const errors: RotatorError[] = [];
  const changes = await Promise.all(
    behind.map(async (want): Promise<Change[]> => {
      try {
        return [
          {
            entry: await entryOf(want, bindingOf(want, bindings), context),
            version: versionOf(want, bindings),
          },
        ];
      } catch (error) {
        context.signal.throwIfAborted();
        errors.push(asRotatorError(error, "propagate"));
        return [];
      }
    }),
  );
  return { changes: changes.flat(), errors };
}

async function entryOf(
  want: WantedSecret,
  binding: SecretBinding | undefined,
  context: CallContext,
): Promise<HeldSecret> {
  if (binding?.mode !== "key-vault-reference") {
    return { name: want.secret, value: await want.load(context) };
  }
  // With the version in it: an address without one is only read again every 30 minutes.
  const keyVaultUrl = `${want.vault}/secrets/${want.output}/${await want.version(context)}`;
  return { name: want.secret, keyVaultUrl, identity: binding.identity ?? "system" };
}
