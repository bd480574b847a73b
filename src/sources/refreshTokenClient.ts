import { clientSecretBasic, clientSecretPost, publicClient } from "../oauth/authentication.ts";
import { type Asked, createOAuthClient, type OAuthClient } from "../oauth/client.ts";
import type { ServerAddress } from "../oauth/server.ts";
import type { SourceEnvironment } from "../plugins.ts";
import type { CallContext } from "../ports.ts";
import type { OAuthRefreshTokenOptions } from "./oauthRefreshToken.ts";

/** The client that refreshes, and that `login` signs in with. */
export function createRefreshTokenClient(
  options: OAuthRefreshTokenOptions,
  environment: Pick<SourceEnvironment, "clock" | "fetch" | "secrets" | "authorityHost">,
): OAuthClient {
  const { clientId, clientSecret, singlePage, tenant } = options;
  const { authentication = tenant === undefined ? "basic" : "post" } = options;
  const { clock, fetch } = environment;
  const send = authentication === "post" ? clientSecretPost : clientSecretBasic;
  return createOAuthClient(
    {
      server: serverOf(options, environment.authorityHost),
      clientId,
      authentication:
        clientSecret === undefined
          ? publicClient
          : send(
              async (context: CallContext) => (await environment.secrets.read(clientSecret, context)).value,
            ),
    },
    { clock, fetch: singlePage === true ? fromBrowser(fetch) : fetch },
  );
}

/**
 * What is asked for with a refresh token. Microsoft's are good for everything that was consented to, so each request says
 * what it wants. Elsewhere the standard (RFC 6749, section 6) lets a server refuse what it did not grant, and some do at
 * offline_access; left out, the scopes are those of the sign-in.
 */
export function asked({ tenant, scopes }: OAuthRefreshTokenOptions): Asked {
  return tenant === undefined ? {} : { scopes };
}

function serverOf(options: OAuthRefreshTokenOptions, authorityHost: string): ServerAddress {
  const { tenant, issuer, tokenEndpoint = "" } = options;
  if (tenant !== undefined) {
    const base = `${authorityHost}/${tenant}/oauth2/v2.0`;
    return {
      tokenEndpoint: `${base}/token`,
      authorizationEndpoint: `${base}/authorize`,
      deviceAuthorizationEndpoint: `${base}/devicecode`,
    };
  }
  const { authorizationEndpoint, deviceAuthorizationEndpoint } = options;
  return issuer === undefined
    ? { tokenEndpoint, authorizationEndpoint, deviceAuthorizationEndpoint }
    : { issuer };
}

/** Microsoft takes what it gave to a single-page application only from a browser, which it knows by this header (AADSTS9002327). */
function fromBrowser(fetch: SourceEnvironment["fetch"]): SourceEnvironment["fetch"] {
  return (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("origin", "http://localhost");
    return fetch(input, { ...init, headers });
  };
}
