import { randomUUID } from "node:crypto";
import type { JWK } from "jose";
import type { ClientMetadata } from "oidc-provider";
import type { Issuer } from "./issuer.ts";
import { type Call, formBody } from "./service.ts";

export const tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange";
export const deviceCode = "urn:ietf:params:oauth:grant-type:device_code";

/** An application, as it is registered at an embedded authorization server. It is a public one without secret and key. */
export interface RegisteredClient {
  readonly clientId: string;
  /** Printable ASCII. Sent in the header or in the form, as the client likes. */
  readonly secret?: string;
  /** Public key of `private_key_jwt`. */
  readonly publicKey?: JWK;
  /** Whose tokens are taken for the client's own proof (client assertion) or in exchange. */
  readonly federated?: readonly FederatedCredential[];
  /** Exact addresses. Those of a loopback host match with any port (RFC 8252, section 7.3). */
  readonly redirectUris?: readonly string[];
}

/** A workload identity federation: all three must be those of the token. */
export interface FederatedCredential {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** The claims `oid` and `sub` of a managed identity's token. */
  readonly subject: string;
  /** An exchange need not name the client: an account-wide policy of Databricks. Default false. */
  readonly unnamed?: boolean;
}

/** The applications of one authorization server. */
export class ClientRegistry {
  readonly #clients = new Map<string, Entry>();
  readonly #federation: Pick<Issuer, "verify"> | undefined;

  /** @param federation Verifies the tokens of federated credentials. */
  constructor(federation: Pick<Issuer, "verify"> | undefined) {
    this.#federation = federation;
  }

  register(client: RegisteredClient): void {
    const { clientId, federated = [] } = client;
    this.#clients.set(clientId, { metadata: clientMetadata(client), federated });
  }

  find(clientId: string): ClientMetadata | undefined {
    return this.#clients.get(clientId)?.metadata;
  }

  /** Whether a federated credential of the client fits the token. */
  async accepts(clientId: string, token: string, now: number): Promise<boolean> {
    for (const credential of this.#clients.get(clientId)?.federated ?? []) {
      if (await this.#fits(credential, token, now)) {
        return true;
      }
    }
    return false;
  }

  /**
   * The form of a token request as oidc-provider understands it. It knows no workload identity federation: a request that
   * proves itself by a foreign token goes on with the client's own secret in its place, one whose token is not good with
   * a wrong secret.
   */
  async vouch(call: Call): Promise<URLSearchParams> {
    const form = formBody(call);
    const exchanged = call.headers.authorization === undefined && form.get("grant_type") === tokenExchange;
    const subject = exchanged ? form.get("subject_token") : null;
    if (subject !== null && !form.has("client_id")) {
      form.set("client_id", (await this.#unnamed(subject, call.now())) ?? "");
    }
    const clientId = form.get("client_id") ?? "";
    const { metadata, federated } = this.#clients.get(clientId) ?? { federated: [] };
    if (metadata?.client_secret === undefined || federated.length === 0) {
      return form;
    }
    const assertion = form.get("client_assertion");
    if (assertion === null && subject === null) {
      return form;
    }
    // Whether the subject token is good is for the exchange to say, in its own words.
    const proven = assertion === null || (await this.accepts(clientId, assertion, call.now()));
    form.delete("client_assertion");
    form.delete("client_assertion_type");
    form.set("client_secret", proven ? metadata.client_secret : randomUUID());
    return form;
  }

  async #unnamed(token: string, now: number): Promise<string | undefined> {
    for (const [clientId, { federated }] of this.#clients) {
      for (const credential of federated) {
        if (credential.unnamed === true && (await this.#fits(credential, token, now))) {
          return clientId;
        }
      }
    }
    return undefined;
  }

  async #fits(
    { issuer, audiences, subject }: FederatedCredential,
    token: string,
    now: number,
  ): Promise<boolean> {
    const caller = await this.#federation?.verify(token, audiences, now).catch(() => undefined);
    return caller?.issuer === issuer && caller.objectId === subject;
  }
}

interface Entry {
  readonly metadata: ClientMetadata;
  readonly federated: readonly FederatedCredential[];
}

/** What oidc-provider is told. Whatever the registration allows to happen is allowed. */
function clientMetadata(client: RegisteredClient): ClientMetadata {
  const { redirectUris = [] } = client;
  const signsIn = redirectUris.length > 0;
  const confidential =
    client.secret !== undefined || client.publicKey !== undefined || client.federated !== undefined;
  const common: ClientMetadata = {
    client_id: client.clientId,
    application_type: "native",
    redirect_uris: redirectUris,
    response_types: signsIn ? ["code"] : [],
    grant_types: [
      deviceCode,
      "refresh_token",
      ...(signsIn ? ["authorization_code"] : []),
      ...(confidential ? ["client_credentials"] : []),
      ...(client.federated === undefined ? [] : [tokenExchange]),
    ],
    id_token_signed_response_alg: "ES256",
  };
  if (client.publicKey !== undefined) {
    return { ...common, token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [client.publicKey] } };
  }
  if (confidential) {
    // A client that has only federated credentials gets a secret that nobody knows: the server uses it in its name.
    const secret = client.secret ?? randomUUID();
    return { ...common, token_endpoint_auth_method: "client_secret_basic", client_secret: secret };
  }
  return { ...common, token_endpoint_auth_method: "none" };
}
