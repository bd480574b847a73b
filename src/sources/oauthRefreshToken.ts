import { parseDuration } from "../config/duration.ts";
import { duration, secretReference } from "../config/fields.ts";
import { unlessAborted } from "../core/deadline.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { endpointUrl } from "../oauth/address.ts";
import type { SourceEnvironment, SourcePlugin } from "../plugins.ts";
import type { Token, TokenSource } from "../ports.ts";
import { secretToRead } from "./nested.ts";

const schema = defineSchema((z) =>
  z
    .strictObject({
      kind: z.literal("oauth-refresh-token"),
      tenant: z
        .string()
        .regex(
          /^(?:common|consumers|organizations|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?:[0-9a-zA-Z-]{1,63}\.){1,8}[a-zA-Z]{2,24})$/,
          "is not a tenant; write consumers, organizations, common, the tenant's id or one of its domains",
        )
        .optional()
        .describe(
          "Microsoft: consumers for personal accounts, organizations or common, or a tenant by its id or domain.",
        ),
      issuer: endpointUrl(z)
        .optional()
        .describe(
          "Another provider by its issuer, exactly as its metadata spells it; endpoints are discovered.",
        ),
      tokenEndpoint: endpointUrl(z)
        .optional()
        .describe("Another provider by its token endpoint, where there is no metadata."),
      authorizationEndpoint: endpointUrl(z)
        .optional()
        .describe("Where a browser signs in; only with tokenEndpoint, and only needed by `login`."),
      deviceAuthorizationEndpoint: endpointUrl(z)
        .optional()
        .describe("Where a device asks for a code; only with tokenEndpoint, and only needed by `login`."),
      clientId: z.string().min(1).describe("Id of the client (application) at the provider."),
      clientSecret: secretReference(z)
        .optional()
        .describe("Key Vault secret with the client secret. A public client has none and sends none."),
      authentication: z
        .enum(["basic", "post"])
        .optional()
        .describe(
          "How the client secret is sent: in the Authorization header (basic) or in the form (post). Default post for Microsoft, else basic.",
        ),
      scopes: z
        .array(z.string().regex(/^[^\s,]+$/, "is not one scope; write each scope as an entry of its own"))
        .min(1)
        .describe(
          "Scopes to ask for. Most providers give a refresh token only with offline_access among them.",
        ),
      refreshToken: secretReference(z).describe(
        "Key Vault secret that holds the refresh token. `token-rotator login` makes it; it is replaced whenever the provider sends a new one.",
      ),
      refreshTokenLifetime: duration(z)
        .optional()
        .describe(
          "How long a refresh token of this provider lives, to warn before it ends. Default 90d for Microsoft (24h with singlePage), else unknown unless the provider tells.",
        ),
      singlePage: z
        .boolean()
        .optional()
        .describe(
          "The redirect address is registered at Microsoft for a single-page application: its refresh tokens end 24 hours after the sign-in, and are only taken with an Origin header.",
        ),
      redirectUri: z
        .string()
        .regex(
          /^http:\/\/(?:127\.0\.0\.1|localhost)(?::[1-9]\d{0,4})?(?:\/[^\s?#]*)?$/,
          "is not a loopback address; write http://127.0.0.1/callback, or http://localhost with the port that is registered",
        )
        .optional()
        .describe(
          "Where the browser comes back to after `login`, as registered at the client. Without a port any free one is taken. Default http://127.0.0.1/callback.",
        ),
      signInParameters: z
        .record(z.string(), z.string())
        .optional()
        .describe(
          "Further parameters of the authorization request, such as access_type: offline for Google or prompt: select_account.",
        ),
    })
    .superRefine((options, context) => {
      const complain = (path: string, message: string) =>
        context.addIssue({ code: "custom", path: [path], message });
      const { tenant, issuer, tokenEndpoint } = options;
      if ([tenant, issuer, tokenEndpoint].filter((way) => way !== undefined).length !== 1) {
        complain("tenant", "is needed, or issuer, or tokenEndpoint; give one of them and no other");
      }
      for (const name of ["authorizationEndpoint", "deviceAuthorizationEndpoint"] as const) {
        if (options[name] !== undefined && tokenEndpoint === undefined) {
          complain(name, "is only taken beside tokenEndpoint; leave it out");
        }
      }
      if (options.authentication !== undefined && options.clientSecret === undefined) {
        complain("authentication", "only says how clientSecret is sent; leave it out");
      }
      if (options.singlePage !== undefined && tenant === undefined) {
        complain("singlePage", "is only known of Microsoft; leave it out");
      }
      if (tenant !== undefined && !options.scopes.includes("offline_access")) {
        complain("scopes", "lack offline_access, without which Microsoft gives no refresh token; add it");
      }
    }),
);

export type OAuthRefreshTokenOptions = SchemaOutput<typeof schema>;

/**
 * A token for somebody who has signed in once (docs/sources/oauth-refresh-token.md). The refresh token lies in Key Vault;
 * a new one is stored there before the access token that came with it is handed out.
 */
export const oauthRefreshToken: SourcePlugin<OAuthRefreshTokenOptions> = {
  schema,
  // Microsoft's live 60 to 90 minutes; the rotation's own `lifetime` is for the others.
  lifetimeMs: () => 3_600_000,
  secrets: ({ clientSecret, refreshToken }) => [
    ...secretToRead("clientSecret", clientSecret),
    { path: ["refreshToken"], reference: refreshToken, access: "keep" },
  ],
  create: createSource,
};

async function createSource(
  options: OAuthRefreshTokenOptions,
  environment: SourceEnvironment,
): Promise<TokenSource> {
  const [{ asked, createRefreshTokenClient }, { RefreshTokenKeeper }, { tokenOf }] = await Promise.all([
    import("./refreshTokenClient.ts"),
    import("./refreshTokenKeeper.ts"),
    import("../oauth/answer.ts"),
  ]);
  const client = createRefreshTokenClient(options, environment);
  const keeper = new RefreshTokenKeeper(keeping(options), environment);
  let running: Promise<Token> | undefined;
  return {
    mint: (context) => {
      // Storing goes on after a caller has given up; the one who comes next gets what became of it, and not the lease's
      // refusal.
      running ??= keeper
        .renew(context, (token, adapt, within) => client.refresh(token, { ...asked(options), adapt }, within))
        .then(({ answer, refreshToken, signInBy }) => ({
          ...tokenOf(answer),
          companions: { refreshToken },
          ...(signInBy === undefined ? {} : { signInBy }),
        }))
        .finally(() => {
          running = undefined;
        });
      return unlessAborted(context.signal, running);
    },
  };
}

/** What the keeper must know of these options. */
export function keeping({
  tenant,
  singlePage = false,
  refreshToken,
  refreshTokenLifetime,
}: OAuthRefreshTokenOptions) {
  const stated = refreshTokenLifetime === undefined ? undefined : parseDuration(refreshTokenLifetime);
  // https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
  const usual = tenant === undefined ? undefined : singlePage ? day : 90 * day;
  return { reference: refreshToken, lifetimeMs: stated ?? usual, endsWithSignIn: singlePage };
}

const day = 24 * 3_600_000;
