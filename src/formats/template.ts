import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import { maxSecretBytes, rendered, singleLine } from "./rendering.ts";
import { compileTemplate } from "./templating.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("template")
      .describe("A text of your own with the token in it, in a small part of Liquid."),
    template: z
      .string()
      .min(1)
      .describe(
        "Variables: token, expiresOn, expiresAt, issuedOn, claims.NAME, jwt.header.NAME, attributes.NAME, companions.NAME. Filters: urlencode, json, base64, pgpass and a few of Liquid's own.",
      ),
    multiline: z
      .boolean()
      .default(false)
      .describe("Whether the reader takes several lines. Default false: a line break is refused."),
    contentType: z
      .string()
      .min(1)
      .max(255)
      .default("text/plain")
      .describe("Content type of the secret. Default text/plain."),
  }),
);

export const template: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  check: ({ template, multiline }) => {
    const complaints = [];
    if (!multiline && /[\r\n]/.test(template)) {
      complaints.push({
        path: ["template"],
        message: "has a line break in it; take it out, or set multiline if the reader takes several lines",
      });
    }
    if (Buffer.byteLength(template) > maxSecretBytes) {
      complaints.push({ path: ["template"], message: "is larger than the 25 KB that a secret can have" });
    }
    return complaints;
  },
  create: async ({ template, multiline, contentType }) => {
    const compiled = await compileTemplate(template);
    return {
      render: (token) => {
        const text = compiled(token);
        return rendered(multiline ? text : singleLine(text, "template"), contentType);
      },
    };
  },
};
