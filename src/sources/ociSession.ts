import { parseDuration } from "../config/duration.ts";
import { duration, secretReference } from "../config/fields.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { hostUrl } from "../oauth/address.ts";
import type { JsonObject } from "../oauth/endpoint.ts";
import type { SourceEnvironment, SourcePlugin, SourceSecret } from "../plugins.ts";
import type { CallContext, MintContext, TokenSource } from "../ports.ts";
import { entra } from "./entra.ts";
import { nestedSecrets, nestedToken, secretToRead } from "./nested.ts";
import { oauthClientCredentials } from "./oauthClientCredentials.ts";
import { oauthRefreshToken } from "./oauthRefreshToken.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    kind: z.literal("oci-session"),
    domain: hostUrl(z).describe("The identity domain: https://idcs-….identity.oraclecloud.com."),
    clientId: z.string().min(1).describe("Client id of the confidential application in the domain."),
    clientSecret: secretReference(z)
      .optional()
      .describe("Key Vault secret with the application's client secret. Left out for a public client."),
    subject: z
      .union([entra.schema(z), oauthRefreshToken.schema(z), oauthClientCredentials.schema(z)])
      .describe("Where the token comes from that the domain's identity propagation trust accepts."),
    keyPair: secretReference(z).describe(
      "Key Vault secret that keeps the session's RSA key pair, as PKCS#8 PEM. It is made when it is missing.",
    ),
    keyRotation: duration(z)
      .optional()
      .describe("Age at which the key pair is replaced. Default never, but for `rotate --force`."),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/, "is not a region; write its identifier, such as eu-frankfurt-1")
      .optional()
      .describe("Handed to formats as attributes.region."),
    tenancy: z
      .string()
      .regex(
        /^ocid1\.tenancy\.[0-9A-Za-z_.-]{1,200}$/,
        "is not the OCID of a tenancy; it begins with ocid1.tenancy.",
      )
      .optional()
      .describe("Handed to formats as attributes.tenancy."),
  }),
);

export type OciSessionOptions = SchemaOutput<typeof schema>;

/**
 * A session token (UPST) of Oracle Cloud Infrastructure with the key pair that it is bound to
 * (docs/sources/oci-session.md).
 */
export const ociSession: SourcePlugin<OciSessionOptions> = {
  schema,
  // The longest that a session may live; what the domain grants is read from the token.
  lifetimeMs: () => 3_600_000,
  secrets: ({ clientSecret, subject, keyPair }) => [
    ...secretToRead("clientSecret", clientSecret),
    ...subjectSecrets(subject),
    { path: ["keyPair"], reference: keyPair, access: "keep" },
  ],
  create: createSource,
};

function subjectSecrets(subject: OciSessionOptions["subject"]): readonly SourceSecret[] {
  const path = ["subject"];
  switch (subject.kind) {
    case "entra":
      return nestedSecrets(path, entra, subject);
    case "oauth-refresh-token":
      return nestedSecrets(path, oauthRefreshToken, subject);
    case "oauth-client-credentials":
      return nestedSecrets(path, oauthClientCredentials, subject);
  }
}

/**
 * The exchange as Oracle's own SDKs send it (oci-python-sdk, token_exchange_signer.py). A session whose expiry is that of
 * the one before is handed on as it is: the engine compares, and says `SourceUnchanged` instead of publishing it.
 */
async function createSource(
  options: OciSessionOptions,
  environment: SourceEnvironment,
): Promise<TokenSource> {
  const [{ createOAuthClient }, { clientSecretBasic, publicClient }, { tokenOf }, { keyPair }] =
    await Promise.all([
      import("../oauth/client.ts"),
      import("../oauth/authentication.ts"),
      import("../oauth/answer.ts"),
      import("./ociKeyPair.ts"),
    ]);
  const { domain, clientId, clientSecret, subject, keyRotation, region, tenancy } = options;
  const client = createOAuthClient(
    {
      server: { tokenEndpoint: `${domain}/oauth2/v1/token` },
      clientId,
      authentication:
        clientSecret === undefined
          ? publicClient
          : clientSecretBasic(
              async (context) => (await environment.secrets.read(clientSecret, context)).value,
            ),
    },
    environment,
  );
  const keeping = {
    reference: options.keyPair,
    longestAgeMs: keyRotation === undefined ? undefined : parseDuration(keyRotation),
  };
  // A domain that is down for a while must not cost a refresh token and a key pair for every try.
  const loadSubject = oncePerRun(await nestedToken(environment, subject));
  const loadPair = oncePerRun((context: MintContext) => keyPair(keeping, environment, context));
  return {
    mint: async (context) => {
      const subjectToken = await loadSubject(context);
      // Last, so that a pair is not replaced in vain where there is no subject token.
      const pair = await loadPair(context);
      const answer = await client.exchange(
        {
          subjectToken,
          subjectTokenType: "jwt",
          requestedTokenType: "urn:oci:token-type:oci-upst",
          parameters: { public_key: pair.publicKey },
          adapt: standardAnswer,
        },
        context,
      );
      return {
        ...tokenOf(answer),
        companions: { privateKey: pair.privateKey },
        attributes: {
          fingerprint: pair.fingerprint,
          ...(region === undefined ? {} : { region }),
          ...(tenancy === undefined ? {} : { tenancy }),
        },
      };
    },
  };
}

/** A domain answers `{"token": "…"}` and nothing else. */
function standardAnswer({ token, ...standard }: JsonObject): JsonObject {
  return { token_type: "N_A", access_token: token, ...standard };
}

/** Makes it once for all tries of a run, which have the end of their retries in common. A failure is not remembered. */
function oncePerRun<Context extends CallContext, T>(
  make: (context: Context) => Promise<T>,
): (context: Context) => Promise<T> {
  let last: { readonly giveUpAt: number; readonly made: T } | undefined;
  return async (context) => {
    if (last?.giveUpAt !== context.giveUpAt) {
      last = { giveUpAt: context.giveUpAt, made: await make(context) };
    }
    return last.made;
  };
}
