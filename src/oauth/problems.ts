import { problems, RotatorError } from "../errors.ts";

/**
 * What can go wrong between us and an OAuth server. One code for one thing that an operator does about it; which of a
 * provider's many errors it was stands in the facts `error`, `aadsts` and `httpStatus`.
 */
export const oauthProblems = problems({
  // On the way.
  AddressNotSafe: {
    message: "A secret would be sent to an address without TLS.",
    remedy: "Use an https:// address; http:// is taken only for a loopback address.",
    retryable: false,
  },
  RedirectRefused: {
    message: "The provider's endpoint answered with a redirect, which is not followed with a secret in hand.",
    remedy: "Put the final address of the endpoint into the configuration.",
    retryable: false,
  },
  AnswerTooLarge: {
    message: "The provider's answer is larger than 1 MiB.",
    remedy: "Check that the address is that of the provider's endpoint and not of a download or a web page.",
    retryable: false,
  },
  EndpointUnreachable: {
    message: "The provider's endpoint cannot be reached.",
    remedy: "Check the host name, DNS, and whether the network lets the rotator out to it.",
    retryable: true,
  },
  EndpointCertificateRefused: {
    message: "The TLS certificate of the provider's endpoint is not trusted.",
    remedy: "Check the host name; where the provider has a private CA, name its root in NODE_EXTRA_CA_CERTS.",
    retryable: false,
  },
  AnswerInterrupted: {
    message: "The connection ended in the middle of the provider's answer.",
    remedy: "Nothing; it is tried again. If it stays, look for a proxy between the rotator and the provider.",
    retryable: true,
  },
  // The answer itself.
  ProviderThrottled: {
    message: "The provider asks for fewer requests.",
    remedy: "Nothing; it is tried again after the time the provider asked for.",
    retryable: true,
  },
  ProviderUnavailable: {
    message: "The provider says that it cannot answer at the moment.",
    remedy: "Nothing; it is tried again. If it stays, look at the provider's status page.",
    retryable: true,
  },
  EndpointNotFound: {
    message: "The provider knows no endpoint at that address.",
    remedy: "Check the issuer, the token endpoint, the host and the account id in the configuration.",
    retryable: false,
  },
  TokenAnswerMalformed: {
    message: "The provider's answer is not what the protocol asks for.",
    remedy:
      "Check that the address is the provider's endpoint and that no proxy or sign-in page answers for it.",
    retryable: true,
  },
  ExpiryUnknown: {
    message: "The provider gave a token without saying when it expires.",
    remedy:
      "Make the provider send expires_in, or let it issue JWT access tokens with an exp claim; a lifetime is never assumed.",
    retryable: false,
  },
  DiscoveryFailed: {
    message: "The issuer has neither OpenID Connect nor OAuth 2.0 (RFC 8414) metadata.",
    remedy: "Check the issuer, or give the token endpoint instead of the issuer.",
    retryable: false,
  },
  IssuerMismatch: {
    message: "The metadata at the issuer's address belongs to another issuer.",
    remedy: "Write the issuer exactly as the provider does, or give the endpoints instead of the issuer.",
    retryable: false,
  },
  EndpointNotOffered: {
    message: "The issuer's metadata lacks the endpoint that this needs, or has one without TLS.",
    remedy: "Check the issuer, or give the endpoints themselves in the configuration.",
    retryable: false,
  },
  // The client.
  ClientRefused: {
    message: "The provider does not accept the client's credentials.",
    remedy:
      "Check the client id, its secret or key in the vault, and the way it authenticates (basic or post).",
    retryable: false,
  },
  ClientSecretWrong: {
    message: "The client secret is wrong.",
    remedy:
      "Store the secret's value (not its id) of a valid client secret as a new version of the secret in the vault.",
    retryable: false,
  },
  ClientSecretExpired: {
    message: "The client secret has expired.",
    remedy:
      "Make a new client secret at the provider and store it as a new version of the secret in the vault.",
    retryable: false,
  },
  ClientSecretMissing: {
    message: "The provider wants this client to authenticate.",
    remedy: "Configure a client secret, a key or an assertion, or make it a public client at the provider.",
    retryable: false,
  },
  ClientMustBePublic: {
    message: "The client is a public one and must not send a secret.",
    remedy: "Take the client secret out of the configuration, or use a confidential client.",
    retryable: false,
  },
  ClientAssertionRefused: {
    message: "The provider does not accept the client's signed assertion.",
    remedy:
      "Register the public key or certificate at the client; for a federated assertion check issuer, subject and audience of its federated credential.",
    retryable: false,
  },
  ClientKeyUnusable: {
    message: "The client's private key cannot be read or does not fit its algorithm.",
    remedy: "Store an unencrypted PKCS#8 key (BEGIN PRIVATE KEY) that fits the configured algorithm.",
    retryable: false,
  },
  ClientUnknown: {
    message: "The provider does not know the client.",
    remedy: "Check the client id and that the application exists in this tenant, account or domain.",
    retryable: false,
  },
  ClientNotAllowed: {
    message: "The client may not use this grant.",
    remedy: "Allow the grant for the client at the provider.",
    retryable: false,
  },
  GrantTypeUnsupported: {
    message: "The provider does not offer this grant.",
    remedy: "Check the address of the token endpoint and the kind of the source.",
    retryable: false,
  },
  // What was asked for.
  TenantUnknown: {
    message: "The tenant does not exist.",
    remedy: "Check the tenant in the configuration.",
    retryable: false,
  },
  ScopeRefused: {
    message: "The provider does not grant the requested scope.",
    remedy: "Check the scopes in the configuration and what the client is allowed to ask for.",
    retryable: false,
  },
  ResourceUnknown: {
    message: "The provider does not know the resource or audience the token was asked for.",
    remedy: "Check the audience or scope, and that the resource's application exists in the tenant.",
    retryable: false,
  },
  AccessDenied: {
    message: "The provider refuses: the identity lacks a permission.",
    remedy: "Grant the identity the permission that the documentation of the source names.",
    retryable: false,
  },
  SubjectTokenRefused: {
    message: "The provider does not accept the token that was offered in exchange.",
    remedy: "Compare issuer, audience and subject of the federation policy with those of the offered token.",
    retryable: false,
  },
  RequestRefused: {
    message: "The provider refuses the request.",
    remedy: "Look up the error code in the facts at the provider, and check the options of the source.",
    retryable: false,
  },
  // Signing in.
  RefreshTokenRefused: {
    message: "The refresh token is no longer accepted.",
    remedy: "Sign in again: token-rotator login with the name of the rotation.",
    retryable: false,
  },
  RefreshTokenExpired: {
    message: "The refresh token has expired.",
    remedy: "Sign in again: token-rotator login with the name of the rotation.",
    retryable: false,
  },
  RefreshTokenRevoked: {
    message: "The refresh token was revoked, by a changed password or by an administrator.",
    remedy: "Sign in again: token-rotator login with the name of the rotation.",
    retryable: false,
  },
  InteractionRequired: {
    message: "The provider wants the account's owner to sign in in person.",
    remedy: "Sign in again: token-rotator login with the name of the rotation.",
    retryable: false,
  },
  ConsentRequired: {
    message: "Nobody has consented to what the client asks for.",
    remedy: "Sign in again and consent, or let an administrator consent for everybody.",
    retryable: false,
  },
  ConditionalAccessBlocked: {
    message: "A conditional access policy blocks the sign-in.",
    remedy:
      "Ask the tenant's administrator which policy it is (the correlation id helps), then sign in again.",
    retryable: false,
  },
  AccountDisabled: {
    message: "The account is disabled.",
    remedy: "Have it enabled, then sign in again.",
    retryable: false,
  },
  SignInDenied: {
    message: "The sign-in was refused in the browser.",
    remedy: "Sign in again and accept what the client asks for.",
    retryable: false,
  },
  SignInStateMismatch: {
    message: "The answer from the browser does not belong to this sign-in.",
    remedy: "Close old tabs and begin the sign-in again; do not open a sign-in address that somebody sent.",
    retryable: false,
  },
  SignInCodeRefused: {
    message: "The provider does not accept the code that the sign-in gave.",
    remedy: "Begin the sign-in again; check that the redirect address is registered at the client.",
    retryable: false,
  },
  SignInTimedOut: {
    message: "The code was not entered in time.",
    remedy: "Begin the sign-in again.",
    retryable: false,
  },
});

/** Whether only a new sign-in can help: nothing that is tried again with the same refresh token will succeed. */
export function needsSignIn(error: unknown): boolean {
  return error instanceof RotatorError && signInCodes.has(error.code);
}

const signInCodes: ReadonlySet<string> = new Set(
  [
    oauthProblems.RefreshTokenRefused,
    oauthProblems.RefreshTokenExpired,
    oauthProblems.RefreshTokenRevoked,
    oauthProblems.InteractionRequired,
    oauthProblems.ConsentRequired,
    oauthProblems.ConditionalAccessBlocked,
    oauthProblems.AccountDisabled,
  ].map((problem) => problem.code),
);
