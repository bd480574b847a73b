import { consumers } from "../consumers/registry.ts";
import { formats } from "../formats/registry.ts";
import type { ConsumerPlugin, FormatPlugin, ProbePlugin, SourcePlugin } from "../plugins.ts";
import { probes } from "../probes/registry.ts";
import { sources } from "../sources/registry.ts";
import type { ConsumerOptions, FormatOptions, ProbeOptions, SourceOptions } from "./configuration.ts";

/** Every plug-in, by the `kind` or `format` that names it in the configuration. */
export interface Registries {
  readonly sources: Readonly<Record<string, SourcePlugin<SourceOptions>>>;
  readonly formats: Readonly<Record<string, FormatPlugin<FormatOptions>>>;
  readonly consumers: Readonly<Record<string, ConsumerPlugin<ConsumerOptions>>>;
  readonly probes: Readonly<Record<string, ProbePlugin<ProbeOptions>>>;
}

// A plug-in is only ever called with options that its own schema has made; the compiler cannot know that.
export const registries = { sources, formats, consumers, probes } as unknown as Registries;
