import * as z from "zod";
import { formats } from "../../src/formats/registry.ts";
import type { FormatPlugin } from "../../src/plugins.ts";
import type { Format, Token } from "../../src/ports.ts";

export type FormatName = keyof typeof formats;
/** Options as they stand in a configuration. */
export type Given = { readonly format: FormatName } & Readonly<Record<string, unknown>>;
type Options = { readonly format: string };

export function pluginOf(name: FormatName): FormatPlugin<Options> {
  return formats[name] as unknown as FormatPlugin<Options>;
}

/** The format as the product makes it of its options. */
export async function formatOf(given: Given): Promise<Format> {
  const plugin = pluginOf(given.format);
  return await plugin.create(plugin.schema(z).parse(given));
}

/** What the secret would hold. */
export async function layOut(given: Given, token: Token): Promise<string> {
  return (await formatOf(given)).render(token).value.reveal();
}

/** Where `validate` complains about the options. */
export function complaints(given: Given): string[] {
  const plugin = pluginOf(given.format);
  const parsed: z.ZodSafeParseResult<Options> = plugin.schema(z).safeParse(given);
  const problems = parsed.success ? (plugin.check?.(parsed.data) ?? []) : parsed.error.issues;
  return problems.map(({ path }) => path.join("."));
}
