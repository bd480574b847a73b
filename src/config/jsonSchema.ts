import * as z from "zod";
import { registries as builtIn, type Registries } from "./registries.ts";
import { documentSchema } from "./schema.ts";

/**
 * The published JSON Schema (draft 2020-12) of `rotations.json`, made from the schema that checks it: editors complete and
 * explain by it. What spans several fields (duplicate names, the freshness budget) only `validate` can tell.
 */
export function configurationJsonSchema(registries: Registries = builtIn): Record<string, unknown> {
  return z.toJSONSchema(documentSchema(registries), { io: "input", target: "draft-2020-12" });
}
