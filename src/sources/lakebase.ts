import { randomUUID } from "node:crypto";
import type { ZodObject, ZodType } from "zod";
import { parseDuration } from "../config/duration.ts";
import { duration } from "../config/fields.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { problems, RotatorError } from "../errors.ts";
import { hostUrl } from "../oauth/address.ts";
import type { JsonObject } from "../oauth/endpoint.ts";
import type { SourcePlugin } from "../plugins.ts";
import type { Token } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import { type DatabricksOAuthOptions, databricksOauth } from "./databricksOauth.ts";
import { type EntraOptions, entra } from "./entra.ts";
import { nestedSecrets, nestedToken } from "./nested.ts";

const shortestTtlMs = 300_000;
const longestTtlMs = 3_600_000;

// Told apart by their kind, so that a fault is told with its path. Their schemas are objects, which their types do not say.
const authorization = defineSchema(
  (z) =>
    z.discriminatedUnion("kind", [
      databricksOauth.schema(z) as unknown as ZodObject,
      entra.schema(z) as unknown as ZodObject,
    ]) as unknown as ZodType<DatabricksOAuthOptions | EntraOptions>,
);

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z.literal("lakebase"),
      host: hostUrl(z).describe("Workspace, such as https://adb-1234567890123456.7.azuredatabricks.net."),
      authorization: authorization(z).describe(
        "Who asks for the credential: a databricks-oauth source, or an entra source for Databricks.",
      ),
      instances: z
        .array(z.string().min(1))
        .min(1)
        .optional()
        .describe("Names of provisioned database instances that the credential is for."),
      endpoint: z
        .string()
        .regex(
          /^projects\/[^/\s]+\/branches\/[^/\s]+\/endpoints\/[^/\s]+$/,
          "is not the name of an endpoint; write projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT",
        )
        .optional()
        .describe("Endpoint of a Lakebase project: projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT."),
      ttl: duration(z)
        .refine((text) => {
          const ms = parseDuration(text) ?? shortestTtlMs;
          return ms >= shortestTtlMs && ms <= longestTtlMs;
        }, "is not a lifetime that Lakebase takes; write 5m to 1h")
        .optional()
        .describe("Lifetime to ask for, 5m to 1h; only with endpoint. Default 1h."),
    })
    .superRefine(({ instances, endpoint, ttl }, context) => {
      const complain = (path: string, message: string) =>
        context.addIssue({ code: "custom", path: [path], message });
      if ((instances === undefined) === (endpoint === undefined)) {
        complain("endpoint", "is needed, or instances; give one of them and not both");
      }
      if (ttl !== undefined && endpoint === undefined) {
        complain("ttl", "is only taken for an endpoint; leave it out");
      }
    }),
);

export type LakebaseOptions = SchemaOutput<typeof schema>;

export const lakebaseProblems = problems({
  LakebaseUnknown: {
    message: "Databricks knows no such Lakebase instance or endpoint in this workspace.",
    remedy: "Check the host, and the names in instances or endpoint.",
    retryable: false,
  },
  LakebaseDenied: {
    message: "Databricks does not give this identity a Lakebase credential.",
    remedy:
      "Add the identity to the workspace and give it CAN USE on the instance; see docs/sources/lakebase.md.",
    retryable: false,
  },
});

/** A PostgreSQL password for Databricks Lakebase (docs/sources/lakebase.md). */
export const lakebase: SourcePlugin<LakebaseOptions> = {
  schema,
  lifetimeMs: ({ ttl }) => (ttl === undefined ? undefined : parseDuration(ttl)) ?? longestTtlMs,
  secrets: ({ authorization }) =>
    authorization.kind === "entra"
      ? nestedSecrets(["authorization"], entra, authorization)
      : nestedSecrets(["authorization"], databricksOauth, authorization),
  create: async (options, environment) => {
    const { callApi } = await import("../oauth/endpoint.ts");
    const { clock } = environment;
    const authorize = await nestedToken(environment, options.authorization);
    return {
      mint: async (context) => {
        const token = await authorize(context);
        const startedAt = clock.now();
        const answer = await callApi(environment, { ...requestOf(options), token }, context).catch(explain);
        return await readCredential(answer, startedAt, new URL(options.host).host);
      },
    };
  },
};

/** The two APIs differ in everything but the idea. */
function requestOf({ host, instances, endpoint, ttl }: LakebaseOptions): { url: string; body: JsonObject } {
  if (endpoint === undefined) {
    return {
      url: `${host}/api/2.0/database/credentials`,
      body: { request_id: randomUUID(), instance_names: instances },
    };
  }
  const seconds = ttl === undefined ? undefined : (parseDuration(ttl) ?? longestTtlMs) / 1000;
  return {
    url: `${host}/api/2.0/postgres/credentials`,
    // A protobuf duration as JSON: seconds with the letter s.
    body: { endpoint, ...(seconds === undefined ? {} : { ttl: `${seconds}s` }) },
  };
}

/** `{token, expiration_time}` of an instance, `{token, expire_time}` of an endpoint. */
async function readCredential(answer: JsonObject, startedAt: number, host: string): Promise<Token> {
  const { expiryOf } = await import("../oauth/answer.ts");
  const { malformed } = await import("../oauth/endpoint.ts");
  const { token, expire_time: expireTime, expiration_time: expirationTime } = answer;
  const end = expireTime ?? expirationTime;
  const told = typeof end === "string" ? Date.parse(end) : undefined;
  if (typeof token !== "string" || token === "" || Number.isNaN(told)) {
    throw malformed({ host });
  }
  const value = new SecretValue(token);
  return { value, expiresOn: expiryOf(value, told, { host }), issuedOn: new Date(startedAt) };
}

/** The general words for a refusal, made particular. */
function explain(error: unknown): never {
  if (error instanceof RotatorError) {
    const { facts } = error;
    if (error.code === "ResourceUnknown" || error.code === "EndpointNotFound") {
      throw new RotatorError(lakebaseProblems.LakebaseUnknown, { facts, cause: error });
    }
    if (error.code === "AccessDenied") {
      throw new RotatorError(lakebaseProblems.LakebaseDenied, { facts, cause: error });
    }
  }
  throw error;
}
