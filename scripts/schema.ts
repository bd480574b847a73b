import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { configurationJsonSchema } from "../src/config/jsonSchema.ts";

/*
 * Writes `rotations.schema.json`, which editors complete and explain `rotations.json` by: `node scripts/schema.ts`. A test
 * fails while it is not what the schemas say.
 */

const file = fileURLToPath(new URL("../rotations.schema.json", import.meta.url));
await writeFile(file, `${JSON.stringify(configurationJsonSchema(), undefined, 2)}\n`);
