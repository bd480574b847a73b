import type { SourceEnvironment, SourcePlugin, SourceSecret } from "../plugins.ts";
import type { CallContext } from "../ports.ts";
import type { SecretValue } from "../secretValue.ts";

/**
 * The token of a source that stands inside another one's options, asked for anew each time. What the vault holds of the
 * outer token says nothing about the inner one, so the inner source is not told of it.
 */
export async function nestedToken(
  environment: SourceEnvironment,
  options: { readonly kind: string },
): Promise<(context: CallContext) => Promise<SecretValue>> {
  const source = await environment.nested(options);
  return async ({ signal, giveUpAt }) => (await source.mint({ signal, giveUpAt, forced: false })).value;
}

/** The secrets of a source inside another one's options, with their paths seen from outside. */
export function nestedSecrets<Options extends { readonly kind: string }>(
  path: readonly string[],
  plugin: SourcePlugin<Options>,
  options: Options,
): readonly SourceSecret[] {
  return plugin.secrets(options).map((secret) => ({ ...secret, path: [...path, ...secret.path] }));
}

/** A secret that is only read, as a source declares it; nothing where it is not configured. */
export function secretToRead(
  path: string,
  reference: SourceSecret["reference"] | undefined,
): readonly SourceSecret[] {
  return reference === undefined ? [] : [{ path: [path], reference, access: "read" }];
}
