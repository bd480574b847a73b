import * as oauth from "oauth4webapi";
import { RotatorError } from "../errors.ts";
import { isLoopback } from "../loopback.ts";
import type { CallContext } from "../ports.ts";
import type { OAuthEnvironment } from "./client.ts";
import { endpointFetch } from "./endpoint.ts";
import { asProblem } from "./libraryErrors.ts";
import { oauthProblems } from "./problems.ts";

/** Where an authorization server is: by its issuer, whose metadata names the endpoints, or by the endpoints. */
export type ServerAddress =
  | { readonly issuer: string }
  | {
      readonly tokenEndpoint: string;
      readonly authorizationEndpoint?: string | undefined;
      readonly deviceAuthorizationEndpoint?: string | undefined;
    };

export interface AuthorizationServer {
  readonly metadata: oauth.AuthorizationServer;
  /** Not where only endpoints were given: `metadata.issuer` is the token endpoint then, as good an audience as any. */
  readonly issuerKnown: boolean;
  /** To be spread into the options of every request: plain http is for a server on this machine only. */
  readonly insecure: { readonly [oauth.allowInsecureRequests]: boolean };
}

/**
 * The server's metadata: OpenID Connect Discovery, else RFC 8414. Only a success is remembered.
 */
export class ServerMetadata {
  readonly #address: ServerAddress;
  readonly #environment: OAuthEnvironment;
  #known: AuthorizationServer | undefined;

  constructor(address: ServerAddress, environment: OAuthEnvironment) {
    this.#address = address;
    this.#environment = environment;
  }

  /** @throws RotatorError `DiscoveryFailed`, `IssuerMismatch`, and those of the way there. */
  async read(context: CallContext): Promise<AuthorizationServer> {
    this.#known ??=
      "issuer" in this.#address ? await this.#discover(this.#address.issuer, context) : given(this.#address);
    return this.#known;
  }

  /** Reads anew the next time, where the failure may mean that the server has moved its endpoints. */
  forgetAfter({ code }: RotatorError): void {
    if (mayHaveMoved.has(code)) {
      this.#known = undefined;
    }
  }

  async #discover(issuer: string, context: CallContext): Promise<AuthorizationServer> {
    const url = new URL(issuer);
    const insecure = insecureFor(url);
    const options = {
      ...insecure,
      [oauth.customFetch]: endpointFetch(this.#environment, "discovery"),
      signal: context.signal,
    };
    let notThere: unknown;
    for (const algorithm of ["oidc", "oauth2"] as const) {
      try {
        const response = await oauth.discoveryRequest(url, { ...options, algorithm });
        return { metadata: await oauth.processDiscoveryResponse(url, response), issuerKnown: true, insecure };
      } catch (error) {
        context.signal.throwIfAborted();
        const problem = asProblem(error, { host: url.host });
        if (!meansNotThere.has(problem.code)) {
          throw problem;
        }
        notThere = problem;
      }
    }
    throw new RotatorError(oauthProblems.DiscoveryFailed, { facts: { host: url.host }, cause: notThere });
  }
}

function given(address: Exclude<ServerAddress, { issuer: string }>): AuthorizationServer {
  return {
    metadata: {
      issuer: address.tokenEndpoint,
      token_endpoint: address.tokenEndpoint,
      ...(address.authorizationEndpoint === undefined
        ? {}
        : { authorization_endpoint: address.authorizationEndpoint }),
      ...(address.deviceAuthorizationEndpoint === undefined
        ? {}
        : { device_authorization_endpoint: address.deviceAuthorizationEndpoint }),
    },
    issuerKnown: false,
    insecure: insecureFor(new URL(address.tokenEndpoint)),
  };
}

function insecureFor(url: URL): AuthorizationServer["insecure"] {
  return { [oauth.allowInsecureRequests]: isLoopback(url) };
}

/** How servers answer for a path that they do not have: not found, a sign-in page, a redirect to one. */
const meansNotThere: ReadonlySet<string> = new Set(
  [
    oauthProblems.EndpointNotFound,
    oauthProblems.RedirectRefused,
    oauthProblems.TokenAnswerMalformed,
    oauthProblems.RequestRefused,
    oauthProblems.AccessDenied,
    oauthProblems.ClientRefused,
    oauthProblems.ResourceUnknown,
  ].map((problem) => problem.code),
);

const mayHaveMoved: ReadonlySet<string> = new Set(
  [
    oauthProblems.EndpointNotFound,
    oauthProblems.EndpointUnreachable,
    oauthProblems.EndpointCertificateRefused,
    oauthProblems.RedirectRefused,
    oauthProblems.TokenAnswerMalformed,
  ].map((problem) => problem.code),
);
