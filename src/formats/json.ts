import { type DecodedJwt, decodeJwt } from "../checks/jwt.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import type { Token } from "../ports.ts";
import { attributeOf, fieldMissing, rendered } from "./rendering.ts";

const reference = defineSchema((z) =>
  z
    .string()
    .regex(
      /^(?:token|expiresOn|expiresAt|issuedOn|(?:claims|attributes)\..{1,256})$/,
      "is not a part of a token; use token, expiresOn, expiresAt, issuedOn, claims.NAME or attributes.NAME",
    )
    .describe(
      "token; expiresOn and issuedOn (ISO 8601); expiresAt (Unix seconds); claims.NAME (of a JWT, as it is); attributes.NAME.",
    ),
);

const literal = defineSchema((z) =>
  z.strictObject({
    value: z.union([z.string(), z.number(), z.boolean(), z.null()]).describe("Written as it stands here."),
  }),
);

const schema = defineSchema((z) =>
  z.strictObject({
    format: z.literal("json").describe("A JSON object with the fields that you name, in one line."),
    fields: z
      .record(z.string().min(1), z.union([reference(z), literal(z)]))
      .refine((fields) => Object.keys(fields).length > 0, "names no field; name at least one")
      .describe(
        'Name of the field and what stands in it: { "password": "token", "user": { "value": "app" } }.',
      ),
  }),
);

type Field = SchemaOutput<typeof schema>["fields"][string];

export const json: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async ({ fields }) => {
    const entries = Object.entries(fields);
    const readsClaims = entries.some(([, field]) => typeof field === "string" && field.startsWith("claims."));
    return {
      render: (token) => {
        const jwt = readsClaims ? decodeJwt(token.value) : undefined;
        const object = Object.fromEntries(entries.map(([name, field]) => [name, partOf(field, token, jwt)]));
        return rendered(JSON.stringify(object), "application/json");
      },
    };
  },
};

function partOf(field: Field, token: Token, jwt: DecodedJwt | undefined): unknown {
  if (typeof field !== "string") {
    return field.value;
  }
  switch (field) {
    case "token":
      return token.value.reveal();
    case "expiresOn":
      return token.expiresOn.toISOString();
    case "expiresAt":
      return Math.floor(token.expiresOn.getTime() / 1000);
    case "issuedOn":
      return token.issuedOn.toISOString();
  }
  // A name may hold dots itself: `claims.https://example.org/groups`.
  const name = field.slice(field.indexOf(".") + 1);
  if (field.startsWith("attributes.")) {
    return attributeOf(token, name);
  }
  if (jwt === undefined || !Object.hasOwn(jwt.claims, name)) {
    throw fieldMissing(field);
  }
  return jwt.claims[name];
}
