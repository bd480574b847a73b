import { secretReference } from "../config/fields.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { hostUrl } from "../oauth/address.ts";
import type { SourcePlugin } from "../plugins.ts";
import { entra } from "./entra.ts";
import { nestedSecrets, nestedToken, secretToRead } from "./nested.ts";

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z.literal("databricks-oauth"),
      host: hostUrl(z).describe(
        "Workspace, such as https://adb-1234567890123456.7.azuredatabricks.net; with accountId the account console's host, https://accounts.azuredatabricks.net.",
      ),
      accountId: z
        .string()
        .regex(/^[0-9a-zA-Z-]{1,64}$/, "is not an account id; copy it from the menu of the account console")
        .optional()
        .describe("Account id, for a token of the account instead of one workspace."),
      clientId: z
        .string()
        .min(1)
        .optional()
        .describe(
          "Application id of the service principal. Left out only with federation, under an account-wide policy.",
        ),
      clientSecret: secretReference(z)
        .optional()
        .describe("Key Vault secret with an OAuth secret of the service principal."),
      federation: z
        .strictObject({
          subject: entra.schema(z).describe("The managed identity's token that is exchanged."),
        })
        .optional()
        .describe("Workload identity federation: a token of the managed identity instead of a secret."),
      scope: z
        .string()
        .min(1)
        .optional()
        .describe("Scopes to ask for, separated by spaces. Default all-apis."),
    })
    .superRefine(({ clientId, clientSecret, federation }, context) => {
      const complain = (path: string, message: string) =>
        context.addIssue({ code: "custom", path: [path], message });
      if ((clientSecret === undefined) === (federation === undefined)) {
        complain("clientSecret", "is needed, or federation; give one of them and not both");
      }
      if (clientId === undefined && federation === undefined) {
        complain("clientId", "is needed with clientSecret; give the application id of the service principal");
      }
    }),
);

export type DatabricksOAuthOptions = SchemaOutput<typeof schema>;

/**
 * A Databricks token for a service principal, by its secret or by workload identity federation
 * (docs/sources/databricks-oauth.md).
 */
export const databricksOauth: SourcePlugin<DatabricksOAuthOptions> = {
  schema,
  // https://docs.databricks.com/dev-tools/auth/oauth-m2m: access tokens live one hour.
  lifetimeMs: () => 3_600_000,
  // Databricks refuses a token in its last 30 seconds (databricks-sdk-py issue 362).
  refusedBeforeExpiryMs: () => 30_000,
  secrets: ({ clientSecret, federation }) => [
    ...secretToRead("clientSecret", clientSecret),
    ...(federation === undefined ? [] : nestedSecrets(["federation", "subject"], entra, federation.subject)),
  ],
  create: async (options, environment) => {
    const { createOAuthClient } = await import("../oauth/client.ts");
    const { tokenOf } = await import("../oauth/answer.ts");
    const { clientSecretBasic, noClient, publicClient } = await import("../oauth/authentication.ts");
    const { clientId, clientSecret, federation } = options;
    const asked = { scopes: [options.scope ?? "all-apis"] };
    const server = { tokenEndpoint: tokenEndpoint(options) };
    if (federation !== undefined) {
      const loadSubject = await nestedToken(environment, federation.subject);
      // With the client id the service principal's own policy decides, without it an account-wide one.
      const authentication = clientId === undefined ? noClient : publicClient;
      const client = createOAuthClient({ server, clientId, authentication }, environment);
      return {
        mint: async (context) => {
          const subjectToken = await loadSubject(context);
          const subjectTokenType = "urn:ietf:params:oauth:token-type:jwt";
          return tokenOf(await client.exchange({ ...asked, subjectToken, subjectTokenType }, context));
        },
      };
    }
    const authentication =
      clientSecret === undefined
        ? publicClient
        : clientSecretBasic(async (context) => (await environment.secrets.read(clientSecret, context)).value);
    const client = createOAuthClient({ server, clientId, authentication }, environment);
    return { mint: async (context) => tokenOf(await client.clientCredentials(asked, context)) };
  },
};

/** Fixed paths; both are also what the discovery at `/oidc/.well-known/oauth-authorization-server` names. */
function tokenEndpoint({ host, accountId }: DatabricksOAuthOptions): string {
  return accountId === undefined ? `${host}/oidc/v1/token` : `${host}/oidc/accounts/${accountId}/v1/token`;
}
