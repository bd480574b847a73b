import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import { rendered, tokenLine } from "./rendering.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("raw")
      .describe("The token itself, without a line break: what TOKEN_LOCATION and most files want."),
  }),
);

export const raw: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async () => ({
    render: (token) => rendered(tokenLine(token), "text/plain"),
  }),
};
