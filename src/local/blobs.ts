import { randomUUID } from "node:crypto";
import { type Issuer, TokenRefused } from "./issuer.ts";
import { bearerToken, type Call, type Caller, type EmbeddedHost, Refusal, type Reply } from "./service.ts";

/** The blob service of a storage account, as far as leases of empty blobs need it. */
export interface EmbeddedBlobs {
  /** The value of `LEASE_CONTAINER_URL`. Its container is there, and empty. */
  readonly leaseContainerUrl: string;
  /** Forgets every blob, and with it its lease. */
  clear(): void;
}

const account = "local";
const container = "leases";

/**
 * Starts the service with one container. Leases are as the documentation has them
 * (https://learn.microsoft.com/rest/api/storageservices/lease-blob), without breaking periods: to break is to end.
 */
export async function startBlobs(host: Pick<EmbeddedHost, "serve">, issuer: Issuer): Promise<EmbeddedBlobs> {
  const blobs = new Map<string, Lease | undefined>();
  const path = `/${account}/:container/:blob`;
  const url = await host.serve({
    name: "blobs",
    errorBody: (status, message) => errorBody(status < 500 ? "InvalidInput" : "ServerBusy", message),
    authenticate: (call) => authenticate(call, issuer),
    routes: [
      {
        operation: "put",
        method: "PUT",
        path,
        target: (call) => `${actionOf(call)} ${call.params.blob}`,
        action: "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
        handle: (call) => withHeaders(put(call)),
      },
    ],
  });
  return {
    leaseContainerUrl: `${url}/${account}/${container}`,
    clear: () => blobs.clear(),
  };

  function put(call: Call): Reply {
    const { blob = "" } = call.params;
    if (call.params.container !== container) {
      throw refuse(404, "ContainerNotFound");
    }
    if (call.query.get("comp") !== "lease") {
      return create(blob, call);
    }
    if (!blobs.has(blob)) {
      throw refuse(404, "BlobNotFound");
    }
    const [lease, reply] = next(blobs.get(blob), call);
    blobs.set(blob, lease);
    return reply;
  }

  function create(blob: string, { headers }: Call): Reply {
    if (blobs.has(blob) && headers["if-none-match"] === "*") {
      throw refuse(409, "BlobAlreadyExists");
    }
    blobs.set(blob, undefined);
    return { status: 201, headers: { etag: `"${randomUUID()}"` } };
  }
}

interface Lease {
  readonly id: string;
  readonly seconds: number;
  /** Milliseconds since the epoch. It can still be renewed later, as long as nobody else got it. */
  readonly endsAt: number;
  readonly broken: boolean;
}

/** The lease after an action on it, and the answer. */
function next(lease: Lease | undefined, call: Call): [Lease | undefined, Reply] {
  const now = call.now();
  const id = String(call.headers["x-ms-lease-id"] ?? "");
  switch (actionOf(call)) {
    case "acquire": {
      const proposed = String(call.headers["x-ms-proposed-lease-id"] ?? randomUUID());
      const seconds = Number(call.headers["x-ms-lease-duration"]);
      if (!(seconds >= 15 && seconds <= 60)) {
        throw refuse(400, "InvalidHeaderValue");
      }
      if (lease !== undefined && lease.endsAt > now && lease.id !== proposed) {
        throw refuse(409, "LeaseAlreadyPresent");
      }
      return [
        { id: proposed, seconds, endsAt: now + seconds * 1000, broken: false },
        { status: 201, headers: { "x-ms-lease-id": proposed } },
      ];
    }
    case "renew":
      if (lease?.id !== id) {
        throw refuse(409, "LeaseIdMismatchWithLeaseOperation");
      }
      if (lease.broken) {
        throw refuse(409, "LeaseIsBrokenAndCannotBeRenewed");
      }
      return [
        { ...lease, endsAt: now + lease.seconds * 1000 },
        { status: 200, headers: { "x-ms-lease-id": id } },
      ];
    case "release":
      if (lease?.id !== id) {
        throw refuse(409, "LeaseIdMismatchWithLeaseOperation");
      }
      return [undefined, { status: 200 }];
    case "break":
      if (lease === undefined) {
        throw refuse(409, "LeaseNotPresentWithLeaseOperation");
      }
      return [
        { ...lease, endsAt: now, broken: true },
        { status: 202, headers: { "x-ms-lease-time": "0" } },
      ];
    default:
      throw refuse(400, "InvalidHeaderValue");
  }
}

function actionOf({ query, headers }: Call): string {
  return query.get("comp") === "lease" ? String(headers["x-ms-lease-action"] ?? "") : "create";
}

async function authenticate(call: Call, issuer: Issuer): Promise<Caller> {
  const token = bearerToken(call);
  if (token === undefined) {
    throw refuse(401, "NoAuthenticationInformation", challenge(issuer));
  }
  try {
    return await issuer.verify(
      token,
      ["https://storage.azure.com", "https://storage.azure.com/"],
      call.now(),
    );
  } catch (error) {
    throw error instanceof TokenRefused ? refuse(401, "InvalidAuthenticationInfo", challenge(issuer)) : error;
  }
}

function challenge({ url, tenantId }: Issuer): Readonly<Record<string, string>> {
  return {
    "www-authenticate": `Bearer authorization_uri=${url}/${tenantId}/oauth2/authorize resource_id=https://storage.azure.com`,
  };
}

function refuse(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Refusal {
  return new Refusal(
    withHeaders({ status, headers: { ...headers, "x-ms-error-code": code }, body: errorBody(code, code) }),
  );
}

function errorBody(code: string, message: string): string {
  return `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

function withHeaders(reply: Reply): Reply {
  const type = reply.body === undefined ? {} : { "content-type": "application/xml" };
  return {
    ...reply,
    headers: { "x-ms-version": "2025-11-05", "x-ms-request-id": randomUUID(), ...type, ...reply.headers },
  };
}
