import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import type { FormatPlugin } from "../plugins.ts";
import { companionOf, rendered } from "./rendering.ts";

const url = defineSchema((z) =>
  z.url({ protocol: /^https$/, error: "is not an https:// address" }).optional(),
);

const schema = defineSchema((z) =>
  z.strictObject({
    format: z
      .literal("onemount-auth")
      .describe("The auth_tokens.json that a OneMount or onedriver mount keeps, for Microsoft Graph tokens."),
    account: z
      .string()
      .min(1)
      .max(320)
      .describe("The account's user principal name, as the mount shows it: somebody@example.com."),
    refreshToken: z
      .enum(["include", "omit"])
      .default("include")
      .describe(
        "include (the default): the mount renews the token itself while it runs. omit: it must be started again with a new file when the token ends.",
      ),
    clientId: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe("Client id that the refresh token was issued to, where it is not the mount's own."),
    codeUrl: url(z).describe("Authorization endpoint, where it is not that of the tenant `common`."),
    tokenUrl: url(z).describe("Token endpoint, where it is not that of the tenant `common`."),
    redirectUrl: url(z).describe("Redirect address of the client, where it is not the mount's own."),
  }),
);

/**
 * The structure is `Auth` of onedriver (github.com/jstaf/onedriver, fs/graph/oauth2.go), which OneMount kept
 * (github.com/auriora/OneMount, internal/graph/oauth2.go): `json.Unmarshal` into account, expires_at (Unix seconds),
 * access_token, refresh_token and config; an empty field of config takes the program's own default. Such a mount holds
 * the tokens in memory, renews them itself from `expires_at` on, and asks for a sign-in where there is no refresh token.
 * Microsoft does not revoke a refresh token when it is used, so the mount's copy and the rotator's live side by side.
 */
export const onemountAuth: FormatPlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async ({ account, refreshToken, clientId, codeUrl, tokenUrl, redirectUrl }) => ({
    render: (token) =>
      rendered(
        JSON.stringify({
          config: {
            // Left out where undefined.
            clientID: clientId,
            codeURL: codeUrl,
            tokenURL: tokenUrl,
            redirectURL: redirectUrl,
          },
          account,
          expires_at: Math.floor(token.expiresOn.getTime() / 1000),
          access_token: token.value.reveal(),
          refresh_token: refreshToken === "omit" ? "" : companionOf(token, "refreshToken").reveal(),
        }),
        "application/json; format=onemount-auth",
      ),
  }),
};
