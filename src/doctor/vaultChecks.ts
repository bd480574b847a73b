import type { Configuration, ReadyRotation } from "../config/configuration.ts";
import { registries } from "../config/registries.ts";
import { pluginOf } from "../config/resolve.ts";
import { manager, tagNames } from "../core/tags.ts";
import { asRotatorError } from "../errors.ts";
import type { CallContext, SecretReference, SecretState, SecretStore } from "../ports.ts";
import { type Check, failed } from "./check.ts";
import { type Principal, roleCommand, writeRoleCommand } from "./roleCommand.ts";

export interface VaultsToCheck {
  readonly configuration: Configuration;
  readonly storeOf: (vault: string) => SecretStore;
  readonly principal: Principal | undefined;
  readonly context: CallContext;
}

/**
 * What the identity may do in each vault, found out by doing it where that changes nothing. Values that are read on the way
 * are dropped at once.
 */
export async function checkVaults(options: VaultsToCheck): Promise<Check[]> {
  const { configuration } = options;
  const ready = configuration.rotations.filter((rotation) => rotation.state === "ready");
  const outputs = ready.flatMap((rotation) => rotation.outputs);
  const vaults = [...new Set(outputs.map(({ vault }) => vault))];
  const checks = await Promise.all([
    ...vaults.map((vault) =>
      checkOutputs(
        vault,
        outputs.filter((output) => output.vault === vault).map(({ secret }) => secret),
        options,
      ),
    ),
    ...secretsToRead(ready, configuration.vault).map((secret) => checkReading(secret, options)),
  ]);
  return checks.flat();
}

async function checkOutputs(
  vault: string,
  secrets: readonly string[],
  { storeOf, principal, context }: VaultsToCheck,
): Promise<Check[]> {
  const name = vaultName(vault);
  let states: ReadonlyMap<string, SecretState>;
  try {
    states = await storeOf(vault).inspect(secrets, context);
  } catch (error) {
    return [failed(`list ${name}`, error)];
  }
  const unknown = [...states.values()].find((state) => state.kind === "unknown");
  if (unknown !== undefined) {
    return [failed(`list ${name}`, unknown.error, roleCommand(unknown.error, principal))];
  }
  const found = [...states.values()].flatMap((state) => (state.kind === "present" ? [state.properties] : []));
  const one = found.some(({ version }) => version !== undefined);
  const listing: Check = {
    check: `list ${name}`,
    state: "ok",
    message: one
      ? `May read the metadata of each secret, but not list the vault: ${secrets.length} calls on every tick in place of a few.`
      : `May list the secrets of the vault: ${found.length} of ${secrets.length} outputs are there.`,
  };
  return [listing, writing(name, vault, found, principal)];
}

function writing(
  name: string,
  vault: string,
  found: readonly { readonly tags: Readonly<Record<string, string>>; readonly createdOn?: Date }[],
  principal: Principal | undefined,
): Check {
  const times = found
    .filter(({ tags }) => tags[tagNames.managedBy] === manager)
    .flatMap(({ createdOn }) => createdOn?.getTime() ?? []);
  const untried = "Whether this identity may set secrets cannot be tried without setting one";
  if (times.length === 0) {
    return {
      check: `write ${name}`,
      state: "warn",
      message: `${untried}, and the rotator has not written here yet.`,
      remedy: `If the first tick fails with VaultForbidden: ${writeRoleCommand(principal, vault)} (or deploy the template again, which gives less).`,
    };
  }
  const last = new Date(Math.max(...times)).toISOString();
  return { check: `write ${name}`, state: "ok", message: `${untried}; the rotator last did at ${last}.` };
}

interface SecretToRead extends SecretReference {
  /** What to do where it is missing and that is no fault yet; `undefined` where somebody must store it. */
  readonly whenMissing: string | undefined;
}

function signIn(rotation: string): string {
  return `A refresh token comes from \`token-rotator login ${rotation}\`; a key pair is made by the first tick.`;
}

/** Everything whose value is read: what sources need, and outputs that are pushed into apps. */
function secretsToRead(rotations: readonly ReadyRotation[], defaultVault: string): readonly SecretToRead[] {
  const secrets = rotations.flatMap(({ name, sources, outputs, consumers }): SecretToRead[] => [
    ...sources.flatMap(({ kind, options }) =>
      pluginOf(registries.sources, kind)
        .secrets(options)
        .map(({ path, reference, access }) => ({
          secret: reference.secret,
          vault: vaultAt(options, path) ?? defaultVault,
          whenMissing: access === "keep" ? signIn(name) : undefined,
        })),
    ),
    ...outputs
      .filter(({ secret }) => consumers.some(({ output, mode }) => output === secret && mode === "value"))
      .map(({ secret, vault }) => ({ secret, vault, whenMissing: "The first tick makes it." })),
  ]);
  return [...new Map(secrets.map((each) => [`${each.vault}/${each.secret}`.toLowerCase(), each])).values()];
}

/** The vault has been filled into the options where they hold the reference themselves. */
function vaultAt(options: object, path: readonly string[]): string | undefined {
  const reference = path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined,
    options,
  );
  return (reference as { vault?: string } | undefined)?.vault;
}

async function checkReading(
  { secret, vault, whenMissing }: SecretToRead,
  { storeOf, principal, context }: VaultsToCheck,
): Promise<Check> {
  const check = `read ${vaultName(vault)}/${secret}`;
  try {
    const stored = await storeOf(vault).read(secret, context);
    if (stored !== undefined) {
      return { check, state: "ok", message: "May read its value." };
    }
    return whenMissing !== undefined
      ? { check, state: "warn", message: "May read it, but it is not there yet.", remedy: whenMissing }
      : {
          check,
          state: "fail",
          message: "A token source reads this secret, and it is not in the vault.",
          remedy: `Store it: az keyvault secret set --vault-name ${vaultName(vault)} --name ${secret} --file FILE --encoding utf-8.`,
        };
  } catch (thrown) {
    const error = asRotatorError(thrown);
    return failed(check, error, roleCommand(error, principal));
  }
}

function vaultName(vault: string): string {
  return new URL(vault).hostname.split(".")[0] ?? vault;
}
