import { randomUUID } from "node:crypto";
import { type Issuer, type TokenRefusal, TokenRefused } from "./issuer.ts";
import {
  bearerToken,
  type Call,
  type Caller,
  type EmbeddedHost,
  jsonBody,
  type Reply,
  type Route,
} from "./service.ts";
import { checkAccess, type SecretAction, type VaultRoleAssignment } from "./vaultAccess.ts";
import { invalidProperty, unauthorized, vaultError } from "./vaultRefusals.ts";
import { VaultSecrets } from "./vaultSecrets.ts";
import { type VaultLimits, VaultThrottle } from "./vaultThrottle.ts";
import {
  attributesOf,
  bundle,
  checkApiVersion,
  deletedBundle,
  listed,
  listedDeleted,
  ok,
  page,
  paging,
} from "./vaultWire.ts";

export interface VaultOptions {
  /** Tells vaults apart in the request log and in refusals; 3 to 24 letters, digits and hyphens in Azure. */
  readonly name: string;
  /** Default an ephemeral one. */
  readonly port?: number;
  /** Default: every identity of the tenant may do everything. */
  readonly assignments?: readonly VaultRoleAssignment[];
  /** Default: none, so that a burst in a test meets none; `token-rotator local` has those of Azure. */
  readonly limits?: VaultLimits;
  /** Milliseconds that deleting, purging and recovering go on after they were accepted. Default 0. */
  readonly transitionMs?: number;
}

/** The secrets data plane of one Key Vault. */
export interface EmbeddedVault {
  readonly name: string;
  /** For `new SecretClient(url, …)`; without a trailing slash. */
  readonly url: string;
  /** What it holds; to seed, to alter as an operator would, and to assert. */
  readonly secrets: VaultSecrets;
  /** Evaluated on every request. `undefined`: every identity may do everything. */
  assignments: readonly VaultRoleAssignment[] | undefined;
}

const audience = "https://vault.azure.net";

export async function startKeyVault(
  host: EmbeddedHost,
  issuer: Issuer,
  options: VaultOptions,
): Promise<EmbeddedVault> {
  const secrets = new VaultSecrets(
    host.clock,
    options.transitionMs === undefined ? {} : { transitionMs: options.transitionMs },
  );
  const throttle = options.limits === undefined ? undefined : new VaultThrottle(options.limits);

  const url = await host.serve({
    name: "keyvault",
    instance: options.name,
    ...(options.port === undefined ? {} : { port: options.port }),
    errorBody: (status, message) => vaultError(errorCode(status), message),
    authenticate: (call) => authenticate(call, issuer),
    routes: operations.map((operation): Route => {
      const { name, action, method, path } = operation;
      return {
        operation: name,
        action,
        method,
        path,
        handle: (call) => {
          throttle?.admit(name === "setSecret" ? "creates" : "others", call.now());
          checkApiVersion(call);
          checkAccess(vault.assignments, {
            vault: vault.name,
            caller: call.caller as Caller,
            action,
            secret: call.params.name,
          });
          return withHeaders(operation.answer(secrets, call));
        },
      };
    }),
  });
  const vault: EmbeddedVault = { name: options.name, url, secrets, assignments: options.assignments };
  return vault;
}

interface Operation {
  readonly name: string;
  readonly action: SecretAction;
  readonly method: Route["method"];
  readonly path: string;
  answer(secrets: VaultSecrets, call: Call): Reply;
}

const scope = "Microsoft.KeyVault/vaults/secrets";

/** Which data action the two reads of deleted secrets need is not documented; the stricter guess where there are two. */
const operations: readonly Operation[] = [
  {
    name: "setSecret",
    action: `${scope}/setSecret/action`,
    method: "PUT",
    path: "/secrets/:name",
    answer: (secrets, call) => {
      const body = jsonBody(call);
      if (typeof body?.value !== "string") {
        throw invalidProperty();
      }
      const version = secrets.set(nameOf(call), body.value, attributesOf(body), call.now());
      return ok({ ...bundle(call, nameOf(call), version), value: version.value.reveal() });
    },
  },
  {
    name: "listVersions",
    action: `${scope}/readMetadata/action`,
    method: "GET",
    path: "/secrets/:name/versions",
    answer: (secrets, call) => {
      const now = call.now();
      secrets.find(nameOf(call), undefined, now);
      const { size, marker } = paging(call);
      // By id, so in no order that means anything.
      const rest = secrets
        .versions(nameOf(call), now)
        .filter(({ id }) => id > marker)
        .sort((one, other) => (one.id < other.id ? -1 : 1));
      return page(
        call,
        size,
        rest.slice(0, size + 1).map((version) => ({
          marker: version.id,
          item: bundle(call, nameOf(call), version),
        })),
      );
    },
  },
  ...["/secrets/:name", "/secrets/:name/:version"].flatMap((path): Operation[] => [
    {
      name: "getSecret",
      action: `${scope}/getSecret/action`,
      method: "GET",
      path,
      answer: (secrets, call) => {
        const version = secrets.get(nameOf(call), call.params.version, call.now());
        return ok({ ...bundle(call, nameOf(call), version), value: version.value.reveal() });
      },
    },
    {
      name: "updateSecret",
      action: `${scope}/update/action`,
      method: "PATCH",
      path,
      answer: (secrets, call) => {
        const body = jsonBody(call);
        if (body === undefined) {
          throw invalidProperty();
        }
        const version = secrets.update(nameOf(call), attributesOf(body), call.params.version, call.now());
        return ok(bundle(call, nameOf(call), version));
      },
    },
  ]),
  {
    name: "listSecrets",
    action: `${scope}/readMetadata/action`,
    method: "GET",
    path: "/secrets",
    answer: (secrets, call) => {
      const { size, marker } = paging(call);
      const found = secrets.list(marker, size + 1, call.now());
      return page(
        call,
        size,
        found.map((secret) => ({ marker: secret.name, item: listed(call, secret) })),
      );
    },
  },
  {
    name: "deleteSecret",
    action: `${scope}/delete`,
    method: "DELETE",
    path: "/secrets/:name",
    answer: (secrets, call) => ok(deletedBundle(call, secrets.delete(nameOf(call), call.now()))),
  },
  {
    name: "backupSecret",
    action: `${scope}/backup/action`,
    method: "POST",
    path: "/secrets/:name/backup",
    answer: (secrets, call) => {
      secrets.backup(nameOf(call), call.now());
      // In Azure the versions, encrypted for the same geography; nothing here restores it.
      return ok({ value: Buffer.from(randomUUID()).toString("base64url") });
    },
  },
  {
    name: "listDeletedSecrets",
    action: `${scope}/readMetadata/action`,
    method: "GET",
    path: "/deletedsecrets",
    answer: (secrets, call) => {
      const { size, marker } = paging(call);
      const found = secrets.listDeleted(marker, size + 1, call.now());
      return page(
        call,
        size,
        found.map((secret) => ({
          marker: secret.name,
          item: listedDeleted(call, secret),
        })),
      );
    },
  },
  {
    name: "getDeletedSecret",
    action: `${scope}/getSecret/action`,
    method: "GET",
    path: "/deletedsecrets/:name",
    answer: (secrets, call) => ok(deletedBundle(call, secrets.getDeleted(nameOf(call), call.now()))),
  },
  {
    name: "recoverSecret",
    action: `${scope}/recover/action`,
    method: "POST",
    path: "/deletedsecrets/:name/recover",
    answer: (secrets, call) => {
      const { name, current } = secrets.recover(nameOf(call), call.now());
      return ok(bundle(call, name, current));
    },
  },
  {
    name: "purgeSecret",
    action: `${scope}/purge/action`,
    method: "DELETE",
    path: "/deletedsecrets/:name",
    answer: (secrets, call) => {
      secrets.purge(nameOf(call), call.now());
      return { status: 204 };
    },
  },
];

async function authenticate(call: Call, issuer: Issuer): Promise<Caller> {
  const authority = `${issuer.url}/${issuer.tenantId}`;
  const token = bearerToken(call);
  if (token === undefined) {
    throw unauthorized(authority, "AKV10000: Request is missing a Bearer or PoP token.");
  }
  try {
    return await issuer.verify(token, [audience], call.now());
  } catch (error) {
    if (error instanceof TokenRefused) {
      throw unauthorized(authority, unauthorizedMessages[error.reason]);
    }
    throw error;
  }
}

/** Those with a code have been seen; the others are our own. */
const unauthorizedMessages: Readonly<Record<TokenRefusal, string>> = {
  malformed: "Error validating token: malformed.",
  signature: "AKV10046: Unable to resolve the key used for signature validation.",
  issuer: "AKV10032: Invalid issuer.",
  audience: `AKV10022: Invalid audience. Expected ${audience}.`,
  expired: "[TokenExpired] Error validating token: the token has expired.",
  notYetValid: "Error validating token: not yet valid.",
};

function errorCode(status: number): string {
  if (status === 429) {
    return "Throttled";
  }
  return status < 500 ? "BadParameter" : "InternalServerError";
}

function nameOf(call: Call): string {
  return call.params.name ?? "";
}

function withHeaders(reply: Reply): Reply {
  return {
    ...reply,
    headers: {
      "cache-control": "no-cache",
      pragma: "no-cache",
      "x-ms-keyvault-region": "local",
      "x-ms-request-id": randomUUID(),
    },
  };
}
