import type { AccessToken, GetTokenOptions, TokenCredential } from "@azure/identity";
import { decodeJwt } from "../checks/jwt.ts";
import { unlessAborted } from "../core/deadline.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { problems, RotatorError } from "../errors.ts";
import { identityError, identityProblems } from "../identity/identityErrors.ts";
import { isIdentityCredential } from "../identity.ts";
import type { SourcePlugin } from "../plugins.ts";
import type { Clock, MintContext, Token, TokenSource } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";

export const entraProblems = problems({
  TokenOfOtherTenant: {
    message: "The identity handed out a token of another tenant than the source asks for.",
    remedy:
      "A managed identity only has tokens of its own tenant: leave `tenant` out, or use a workload identity or an app registration.",
    retryable: false,
  },
});

const guid = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

const schema = defineSchema((z) =>
  z.strictObject({
    kind: z.literal("entra"),
    scope: z
      .string()
      .regex(
        /^[^\s]+[^\s/]\/{1,2}\.default$/,
        "is not the scope of one resource; write its App ID URI followed by /.default, such as https://vault.azure.net/.default",
      )
      .describe("Whom the token is for: the App ID URI of the resource, followed by /.default."),
    tenant: z
      .string()
      .regex(guid, "is not a tenant id; write the GUID that the tenant's overview page shows")
      .optional()
      .describe(
        "Id of the tenant that issues the token, where it is not the identity's own. A managed identity has only its own.",
      ),
    identity: z
      .strictObject({
        clientId: z
          .string()
          .regex(guid, "is not a client id; write the GUID that the identity's overview page shows")
          .describe("Client id of a user-assigned managed identity that is assigned to the rotator."),
      })
      .optional()
      .describe("Identity to mint with, where it is not the one that the rotator itself runs as."),
  }),
);

export type EntraOptions = SchemaOutput<typeof schema>;

/** A token of Entra ID for the identity that the rotator runs as (docs/sources/entra.md). */
export const entra: SourcePlugin<EntraOptions> = {
  schema,
  // Tokens live 60 to 90 minutes, those of managed identities 24 hours:
  // https://learn.microsoft.com/entra/identity-platform/access-tokens#token-lifetime
  lifetimeMs: () => 60 * 60 * 1000,
  secrets: () => [],
  create: async (options, environment) =>
    createSource(options, await environment.credential(), environment.clock),
};

/**
 * Mints through `@azure/identity`, which is made for callers that use a token at once and not for ones that store it: it
 * answers from caches, and with tokens that are about to expire.
 */
async function createSource(
  { scope, tenant, identity }: EntraOptions,
  own: TokenCredential,
  clock: Clock,
): Promise<TokenSource> {
  const credential =
    identity !== undefined && isIdentityCredential(own) ? await own.withClientId(identity.clientId) : own;
  const options: GetTokenOptions = tenant === undefined ? {} : { tenantId: tenant };

  async function mint(context: MintContext): Promise<Token> {
    const now = clock.now();
    let answer = await getToken();
    if ((answer.refreshAfterTimestamp ?? now) < now) {
      // Past half of a token's life, MSAL fetches the next one and answers once more with the old one.
      answer = await getToken();
    }
    if (isIdentityCredential(credential) && (context.forced || !isNews(answer, context.current))) {
      answer = await credential.getNewToken(scope, options);
    }
    return toToken(answer, tenant, now);
  }

  async function getToken(): Promise<AccessToken> {
    let answer: AccessToken | null;
    try {
      answer = await credential.getToken(scope, options);
    } catch (error) {
      throw identityError(error);
    }
    if (answer === null) {
      throw new RotatorError(identityProblems.IdentityAnswerMalformed);
    }
    return answer;
  }

  return { mint: (context) => unlessAborted(context.signal, mint(context)) };
}

/** Whether the vault would gain anything by it. */
function isNews({ token, expiresOnTimestamp }: AccessToken, current: MintContext["current"]): boolean {
  return (
    current === undefined ||
    (expiresOnTimestamp > current.expiresOn.getTime() &&
      new SecretValue(token).fingerprint() !== current.fingerprint)
  );
}

function toToken({ token, expiresOnTimestamp }: AccessToken, tenant: string | undefined, now: number): Token {
  const value = new SecretValue(token);
  // Entra's tokens are opaque to everybody but their resource, so nothing may depend on finding these.
  const { iat, exp, tid } = decodeJwt(value)?.claims ?? {};
  if (tenant !== undefined && typeof tid === "string" && tid.toLowerCase() !== tenant.toLowerCase()) {
    throw new RotatorError(entraProblems.TokenOfOtherTenant, { facts: { tenant, tokenTenant: tid } });
  }
  return {
    value,
    expiresOn: new Date(Math.min(expiresOnTimestamp, milliseconds(exp) ?? Number.POSITIVE_INFINITY)),
    issuedOn: new Date(Math.min(now, milliseconds(iat) ?? now)),
  };
}

function milliseconds(seconds: unknown): number | undefined {
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
