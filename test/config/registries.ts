import { parseDuration } from "../../src/config/duration.ts";
import { duration, secretReference } from "../../src/config/fields.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import type { Registries } from "../../src/config/registries.ts";
import type { Zod } from "../../src/defineSchema.ts";

/*
 * Plug-ins that have just enough to them to show how the configuration treats any plug-in.
 */

const plain = {
  schema: (z: Zod) =>
    z.strictObject({
      kind: z.literal("plain"),
      scope: z.string().optional(),
      lives: duration(z).default("1h"),
      refusedFor: duration(z).optional(),
    }),
  lifetimeMs: ({ lives }: { lives: string }) => parseDuration(lives),
  refusedBeforeExpiryMs: ({ refusedFor }: { refusedFor?: string }) => parseDuration(refusedFor ?? "") ?? 0,
  secrets: () => [],
};

const keeper = {
  schema: (z: Zod) =>
    z.strictObject({
      kind: z.literal("keeper"),
      client: z.strictObject({ secret: secretReference(z) }).optional(),
      refreshToken: secretReference(z),
    }),
  lifetimeMs: () => 3_600_000,
  secrets: ({ client, refreshToken }: { client?: { secret: object }; refreshToken: object }) => [
    ...(client === undefined
      ? []
      : [{ path: ["client", "secret"], reference: client.secret, access: "read" }]),
    { path: ["refreshToken"], reference: refreshToken, access: "keep" },
  ],
};

const raw = { schema: (z: Zod) => z.strictObject({ format: z.literal("raw") }) };
const line = {
  schema: (z: Zod) =>
    z.strictObject({
      format: z.literal("line"),
      user: z.string().min(1),
      parameters: z.record(z.string(), z.string()).default({}),
    }),
  check: ({ user }: { user: string }) =>
    user === "*" ? [{ path: ["user"], message: "stands for everybody; name one" }] : [],
};

const app = {
  schema: (z: Zod) =>
    z.strictObject({
      kind: z.literal("app"),
      app: z.string(),
      output: z.string(),
      secret: z.string(),
      takes: duration(z).default("5m"),
    }),
  target: ({ app }: { app: string }) => app,
  propagationMs: ({ takes }: { takes: string }) => parseDuration(takes),
};

const ping = {
  schema: (z: Zod) => z.strictObject({ kind: z.literal("ping"), times: z.int().min(1).default(1) }),
};

export const registries = {
  sources: { plain, keeper },
  formats: { raw, line },
  consumers: { app },
  probes: { ping },
} as unknown as Registries;

export const vault = "https://kv-example.vault.azure.net";

export type Rotations = Record<string, unknown>;

/** A rotation that has nothing wrong with it, but for what is put over it. */
export function rotation(overrides: object = {}): object {
  return { source: { kind: "plain" }, outputs: [{ secret: "token" }], ...overrides };
}

/** The text of a document with these rotations. */
export function text(rotations: unknown, top: object = {}): string {
  return JSON.stringify({ vault, rotations, ...top });
}

export function parse(rotations: unknown, top: object = {}) {
  return parseConfiguration(text(rotations, top), { file: "rotations.json", environment: {}, registries });
}
