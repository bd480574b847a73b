import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { RotatorError } from "../errors.ts";
import type { FormatPlugin } from "../plugins.ts";
import { formatProblems, rendered, singleLine } from "./rendering.ts";
import { compileTemplate } from "./templating.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    format: z.literal("dotenv").describe("Environment variables, one NAME=value a line."),
    variables: z
      .record(
        z.string().regex(/^[A-Za-z_][0-9A-Za-z_]{0,127}$/, "is not the name of an environment variable"),
        z.string(),
      )
      .refine((variables) => Object.keys(variables).length > 0, "names no variable; name at least one")
      .describe(
        'Name of the variable and its value, a template: { "PGUSER": "app", "PGPASSWORD": "{{ token }}" }. The same variables and filters as in the format template.',
      ),
    quoting: z
      .enum(["shell", "none"])
      .default("shell")
      .describe(
        "shell (the default): quoted where it must be, for sh, dotenv, node --env-file and docker compose. none: as it is, for docker run --env-file and kubectl --from-env-file, which take quotes as part of the value.",
      ),
  }),
);

export const dotenv: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  check: ({ variables }) =>
    Object.entries(variables)
      .filter(([, value]) => /[\r\n]/.test(value))
      .map(([name]) => ({
        path: ["variables", name],
        message: "has a line break in it; readers of such a file take one line",
      })),
  create: async ({ variables, quoting }) => {
    const compiled = await Promise.all(
      Object.entries(variables).map(async ([name, text]) => ({ name, write: await compileTemplate(text) })),
    );
    return {
      render: (token) => {
        const lines = compiled.map(({ name, write }) => {
          const value = singleLine(write(token), name);
          return `${name}=${quoting === "none" ? value : quoted(value, name)}\n`;
        });
        return rendered(lines.join(""), "text/plain; format=dotenv");
      },
    };
  },
};

/**
 * The spelling that sh, dotenv, Node.js and docker compose all read as this value. Characters that mean nothing to any of
 * them, and so every JWT, stand without quotes. Between single quotes nothing means anything but the quote itself (and to
 * dotenv a backslash right before it); between double quotes they disagree on the characters that are refused here.
 */
function quoted(value: string, name: string): string {
  if (/^[\w.,:/@%+=-]+$/.test(value)) {
    return value;
  }
  if (!/'|\\$/.test(value)) {
    return `'${value}'`;
  }
  if (!/["$`\\!]/.test(value)) {
    return `"${value}"`;
  }
  throw new RotatorError(formatProblems.FormatNotQuotable, { facts: { field: name } });
}
