import * as z from "zod";
import type { SchemaDefinition } from "../defineSchema.ts";
import type { ConsumerOptions, FormatOptions, ProbeOptions, SourceOptions } from "./configuration.ts";
import { delivery } from "./delivery.ts";
import { duration, secretName, vaultUrl } from "./fields.ts";
import type { Registries } from "./registries.ts";

/** An output: where it is kept, and the options of its format. */
export type OutputOptions = FormatOptions & {
  readonly secret: string;
  readonly vault?: string;
  readonly adopt: boolean;
};

export const defaultFormat = "raw";

/** Lower-case names: they become file names, tags, URLs and resource names. */
export const rotationName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    "is not a name for a rotation; use 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen",
  );

export const topLevelDefaults = { tick: "5m", retryBudget: "2m" };

/** `rotations.json` without what is inside its rotations: a fault here leaves nothing to run. */
export const topLevel = z.strictObject({
  $schema: z.string().optional().describe("Where editors find the schema: ./rotations.schema.json."),
  vault: vaultUrl(z)
    .optional()
    .describe(
      "Key Vault of every output and reference that names none. Default: the environment variable KEY_VAULT_URL.",
    ),
  tick: duration(z)
    .default(topLevelDefaults.tick)
    .describe("How often the timer fires. ROTATION_SCHEDULE must say the same. Default 5m."),
  retryBudget: duration(z)
    .default(topLevelDefaults.retryBudget)
    .describe("How long one tick may go on retrying a call. Default 2m."),
  rotations: z
    .record(z.string(), z.unknown())
    .refine((rotations) => Object.keys(rotations).length > 0, "names no rotation; add at least one")
    .meta({ minProperties: 1 })
    .describe("The rotations, by name: 1 to 63 lower-case letters, digits and hyphens."),
});

/** What every output has, whatever its format. */
export const outputFields = z.object({
  secret: secretName(z).describe("Name of the Key Vault secret. It is made by the first rotation."),
  vault: vaultUrl(z)
    .optional()
    .describe("Vault of this output, where it is not the vault of the configuration."),
  adopt: z
    .boolean()
    .default(false)
    .describe("Take over a secret of that name that somebody else made. Default false: it is left alone."),
});

const word = z.string().min(1).max(512);

const expectedClaims = z
  .strictObject({
    issuer: word.optional().describe("The iss claim."),
    audience: z
      .union([word, z.array(word).min(1)])
      .optional()
      .describe("The aud claim, or a list of which it must be one."),
    tenant: word.optional().describe("The tid claim: id of the Entra tenant."),
    subject: word.optional().describe("Whom the token must speak for: the oid, sub or appid claim."),
    roles: z.array(word).min(1).optional().describe("App roles that the token must carry, all of them."),
    version: z.enum(["1.0", "2.0"]).optional().describe("The ver claim of Entra."),
  })
  .describe("What a token that is a JSON Web Token must say; another one is never published.");

const paused = z
  .union([
    z.boolean(),
    z.strictObject({
      until: z.iso
        .datetime({ offset: true, error: "is not a date and time; write it as 2030-01-31T08:00:00Z" })
        .describe("When it goes on by itself, as 2030-01-31T08:00:00Z."),
    }),
  ])
  .describe("true leaves this rotation alone; { until } does so until then.");

const retire = z
  .strictObject({
    grace: duration(z).describe("How long a superseded version stays readable, at least."),
    keep: z.int().min(2).default(2).describe("How many of the newest versions are never touched. Default 2."),
  })
  .describe("Disables superseded versions. Leave it out to keep all of them readable.");

/** The schema of one rotation, made of what the plug-ins bring along. */
export function rotationSchema({ sources, formats, consumers, probes }: Registries) {
  const source = oneOf<SourceOptions>("kind", Object.values(sources).map(schemaOf)).meta({ id: "source" });
  return z.strictObject({
    source: z
      .union([source, z.array(source).min(1)])
      .describe("Where the token comes from; a list is tried in its order, and the first that mints wins."),
    outputs: z
      .array(oneOf<OutputOptions>("format", Object.entries(formats).map(outputSchema)))
      .min(1)
      .describe("The Key Vault secrets that are kept fresh, all from one token."),
    consumers: z
      .array(oneOf<ConsumerOptions>("kind", Object.values(consumers).map(schemaOf)))
      .default([])
      .describe("Who is told about a new version. Readers of the vault itself (CSI, pull) need no telling."),
    margin: duration(z)
      .optional()
      .describe(
        "How long before expiry a token is replaced. Default: a third of its lifetime, or more where that is unsafe.",
      ),
    lifetime: duration(z)
      .optional()
      .describe("The shortest lifetime of this source's tokens, where it is not the source's usual one."),
    propagation: duration(z)
      .optional()
      .describe(
        "How long the slowest reader of the vault takes to hold a new version. Default 5m: CSI poll and kubelet.",
      ),
    expect: expectedClaims.optional(),
    probe: oneOf<ProbeOptions>("kind", Object.values(probes).map(schemaOf))
      .optional()
      .describe("Tries each new token where it will be used, before it is published."),
    paused: paused.optional(),
    kubernetes: delivery.kubernetes.optional(),
    files: delivery.files.optional(),
    retire: retire.optional(),
  });
}
export type RotationOptions = z.output<ReturnType<typeof rotationSchema>>;

/** The whole document, for the published JSON Schema. */
export function documentSchema(registries: Registries) {
  return topLevel
    .extend({
      rotations: z
        .record(rotationName, rotationSchema(registries))
        .meta({ minProperties: 1, ...topLevel.shape.rotations.meta() }),
    })
    .meta({
      title: "Rotations of keyvault-token-rotator",
      description:
        "Which short-lived tokens are kept fresh in Azure Key Vault, where they come from and who reads them.",
    });
}

function schemaOf({ schema }: { readonly schema: SchemaDefinition }): z.ZodType {
  return schema(z);
}

/** Joins the format's own options with those that every output has. */
function outputSchema([format, plugin]: [string, { readonly schema: SchemaDefinition }]): z.ZodType {
  const schema = plugin.schema(z);
  if (!(schema instanceof z.ZodObject)) {
    throw new TypeError(`The schema of the format ${format} is not an object.`);
  }
  return schema.safeExtend({
    ...outputFields.shape,
    ...(format === defaultFormat
      ? {
          format: z
            .literal(format)
            .default(format)
            .describe("The token itself, without a line break. The default."),
        }
      : {}),
  });
}

function oneOf<Options>(discriminator: string, options: readonly z.ZodType[]): z.ZodType<Options> {
  // The registries hold object schemas; that each carries the discriminator is checked by zod as it joins them.
  const objects = options as unknown as [z.ZodObject, ...z.ZodObject[]];
  return z.discriminatedUnion(discriminator, objects) as unknown as z.ZodType<Options>;
}
