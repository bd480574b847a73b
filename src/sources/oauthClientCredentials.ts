import { secretReference } from "../config/fields.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { endpointUrl } from "../oauth/address.ts";
import { assertionAlgorithms } from "../oauth/algorithms.ts";
import type { ClientAuthentication } from "../oauth/authentication.ts";
import type { SecretReferenceOption, SourceEnvironment, SourcePlugin } from "../plugins.ts";
import type { CallContext } from "../ports.ts";
import { entra } from "./entra.ts";
import { nestedSecrets, nestedToken, secretToRead } from "./nested.ts";

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z.literal("oauth-client-credentials"),
      issuer: endpointUrl(z)
        .optional()
        .describe(
          "Issuer of the authorization server, exactly as its metadata spells it; the token endpoint is discovered (OpenID Connect or RFC 8414).",
        ),
      tokenEndpoint: endpointUrl(z)
        .optional()
        .describe("Token endpoint, where there is no metadata to discover it."),
      clientId: z.string().min(1).describe("Id of the client at the authorization server."),
      clientSecret: secretReference(z).optional().describe("Key Vault secret with the client secret."),
      authentication: z
        .enum(["basic", "post"])
        .optional()
        .describe(
          "How the client secret is sent: in the Authorization header (basic, the default) or in the form (post).",
        ),
      privateKey: secretReference(z)
        .extend({
          algorithm: z
            .enum(assertionAlgorithms)
            .optional()
            .describe("Signature algorithm. Default: RS256 for an RSA key, what fits its curve for another."),
          keyId: z
            .string()
            .min(1)
            .optional()
            .describe("Key id (kid) in the assertion, where the server asks for it."),
        })
        .optional()
        .describe(
          "Key Vault secret with the client's private key as PEM (private_key_jwt); the secret of a Key Vault certificate in PEM form will do.",
        ),
      assertion: z
        .strictObject({ source: entra.schema(z).describe("Where the assertion comes from.") })
        .optional()
        .describe(
          "Federation: a token of the managed identity proves who the client is, so that there is no secret.",
        ),
      scopes: z
        .array(z.string().regex(/^\S+$/, "is not one scope; write each scope as an entry of its own"))
        .optional()
        .describe("Scopes to ask for."),
      audience: z
        .string()
        .min(1)
        .optional()
        .describe("Audience to ask for (parameter audience), as Auth0 wants it."),
      resource: z.string().min(1).optional().describe("Resource to ask for (parameter resource, RFC 8707)."),
    })
    .superRefine((options, context) => {
      const complain = (path: string, message: string) =>
        context.addIssue({ code: "custom", path: [path], message });
      if ((options.issuer === undefined) === (options.tokenEndpoint === undefined)) {
        complain("issuer", "is needed, or tokenEndpoint; give one of them and not both");
      }
      const { clientSecret, privateKey, assertion } = options;
      if ([clientSecret, privateKey, assertion].filter((way) => way !== undefined).length !== 1) {
        complain("clientSecret", "is needed, or privateKey, or assertion; give one of them and no other");
      }
      if (options.authentication !== undefined && clientSecret === undefined) {
        complain("authentication", "only says how clientSecret is sent; leave it out");
      }
    }),
);

export type OAuthClientCredentialsOptions = SchemaOutput<typeof schema>;

/** Any OAuth 2.0 server by the client credentials grant (docs/sources/oauth-client-credentials.md). */
export const oauthClientCredentials: SourcePlugin<OAuthClientCredentialsOptions> = {
  schema,
  // What most servers issue; the rotation's own `lifetime` is for the others.
  lifetimeMs: () => 3_600_000,
  secrets: ({ clientSecret, privateKey, assertion }) => [
    ...secretToRead("clientSecret", clientSecret),
    ...secretToRead("privateKey", privateKey),
    ...(assertion === undefined ? [] : nestedSecrets(["assertion", "source"], entra, assertion.source)),
  ],
  create: async (options, environment) => {
    const { createOAuthClient } = await import("../oauth/client.ts");
    const { tokenOf } = await import("../oauth/answer.ts");
    const { issuer, tokenEndpoint = "", clientId } = options;
    const client = createOAuthClient(
      {
        server: issuer === undefined ? { tokenEndpoint } : { issuer },
        clientId,
        authentication: await authenticationOf(options, environment),
      },
      environment,
    );
    return { mint: async (context) => tokenOf(await client.clientCredentials(options, context)) };
  },
};

async function authenticationOf(
  options: OAuthClientCredentialsOptions,
  environment: SourceEnvironment,
): Promise<ClientAuthentication> {
  const ways = await import("../oauth/authentication.ts");
  const { clientSecret, privateKey, assertion } = options;
  const load = (reference: SecretReferenceOption) => async (context: CallContext) =>
    (await environment.secrets.read(reference, context)).value;
  if (clientSecret !== undefined) {
    return options.authentication === "post"
      ? ways.clientSecretPost(load(clientSecret))
      : ways.clientSecretBasic(load(clientSecret));
  }
  if (privateKey !== undefined) {
    return ways.privateKeyJwt(load(privateKey), privateKey);
  }
  return assertion === undefined
    ? ways.publicClient
    : ways.federatedAssertion(await nestedToken(environment, assertion.source));
}
