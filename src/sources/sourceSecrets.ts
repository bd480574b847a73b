import { manager, tagNames } from "../core/tags.ts";
import { problems, RotatorError } from "../errors.ts";
import type { SecretReferenceOption, SourceSecrets } from "../plugins.ts";
import type { SecretReference, SecretStore } from "../ports.ts";

const sourceSecretProblems = problems({
  SourceSecretMissing: {
    message: "A secret that the token source reads is not in the vault.",
    remedy: "Store it there: `az keyvault secret set`, or `token-rotator login` for a refresh token.",
    retryable: false,
  },
});

export interface SourceSecretsOptions {
  readonly storeOf: (vault: string) => SecretStore;
  readonly defaultVault: string;
  /** Put into the tags of what is kept. */
  readonly rotation: string;
  readonly newOperation: () => string;
}

/** What sources read and keep, over the same stores that outputs are written to. */
export function createSourceSecrets(options: SourceSecretsOptions): SourceSecrets {
  const { storeOf, defaultVault, rotation, newOperation } = options;
  const resolve = ({ secret, vault = defaultVault }: SecretReferenceOption): SecretReference => ({
    secret,
    vault,
  });
  const find: SourceSecrets["find"] = (reference, context) => {
    const { secret, vault } = resolve(reference);
    return storeOf(vault).read(secret, context);
  };
  return {
    resolve,
    find,
    read: async (reference, context) => {
      const stored = await find(reference, context);
      if (stored === undefined) {
        const { secret, vault } = resolve(reference);
        throw new RotatorError(sourceSecretProblems.SourceSecretMissing, { facts: { secret, vault } });
      }
      return stored;
    },
    keep: (reference, { tags, ...version }, context) => {
      const { secret, vault } = resolve(reference);
      const own = { [tagNames.managedBy]: manager, [tagNames.rotation]: rotation, operation: newOperation() };
      return storeOf(vault).write(secret, { ...version, tags: { ...tags, ...own } }, context);
    },
    mark: async (reference, read, changes, context) => {
      const { secret, vault } = resolve(reference);
      const tags = Object.entries({ ...read.tags, ...changes }).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      );
      await storeOf(vault).replaceTags(secret, Object.fromEntries(tags), context, read.version);
    },
  };
}
