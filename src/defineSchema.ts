import type * as zod from "zod";

/** The schema library, as a value that is handed in. */
export type Zod = typeof zod;

/** A schema that is made when a configuration is checked for the first time, and then kept. */
export type SchemaDefinition<Schema extends zod.ZodType = zod.ZodType> = (z: Zod) => Schema;

/** What such a schema gives. */
export type SchemaOutput<Definition extends SchemaDefinition> = zod.output<ReturnType<Definition>>;

/**
 * Says how a schema is made without making it. The library costs as much time as an empty process, and the schemas of all
 * plug-ins as much again; a function app that finds its configuration checked already needs neither. So a file that is
 * loaded on every start takes from the library only types, and is handed the rest.
 */
export function defineSchema<Schema extends zod.ZodType>(make: (z: Zod) => Schema): SchemaDefinition<Schema> {
  let made: Schema | undefined;
  return (z) => {
    made ??= make(z);
    return made;
  };
}
