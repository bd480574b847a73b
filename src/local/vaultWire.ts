import type { Call, Reply } from "./service.ts";
import { apiVersionMissing, apiVersionUnknown, invalidParameter, invalidProperty } from "./vaultRefusals.ts";
import {
  type DeletedVaultSecret,
  retentionDays,
  type VaultSecret,
  type VaultVersion,
  type VersionAttributes,
} from "./vaultSecrets.ts";

/* The shapes of Key Vault's data plane: what requests and answers look like. */

/** The most that a page holds, and what it holds when nobody asks for less. */
const pageSize = 25;

/** Any version that the service has had; without one it refuses. */
export function checkApiVersion(call: Call): void {
  const version = call.query.get("api-version");
  if (version === null || version === "") {
    throw apiVersionMissing();
  }
  if (!/^(7\.[0-6]|20\d\d-\d\d-\d\d)(-preview(\.\d)?)?$/.test(version)) {
    throw apiVersionUnknown(version);
  }
}

/** The request's `contentType`, `tags` and `attributes`, with the names of the store. */
export function attributesOf(body: Record<string, unknown>): VersionAttributes {
  const { contentType, tags, attributes } = body;
  const { enabled, nbf, exp } = object(attributes ?? {});
  const texts = object(tags ?? {});
  if (Object.values(texts).some((text) => typeof text !== "string")) {
    throw invalidProperty();
  }
  return {
    ...given("contentType", contentType, "string"),
    ...(tags === undefined || tags === null ? {} : { tags: texts as Record<string, string> }),
    ...given("enabled", enabled, "boolean"),
    ...given("notBefore", nbf, "number"),
    ...given("expires", exp, "number"),
  };
}

/** A version without its value. */
export function bundle(call: Call, name: string, version: VaultVersion) {
  return {
    ...(version.contentType === undefined ? {} : { contentType: version.contentType }),
    id: `${call.origin}/secrets/${name}/${version.id}`,
    attributes: {
      enabled: version.enabled,
      ...(version.notBefore === undefined ? {} : { nbf: version.notBefore }),
      ...(version.expires === undefined ? {} : { exp: version.expires }),
      created: version.created,
      updated: version.updated,
      recoveryLevel: "Recoverable+Purgeable",
      recoverableDays: retentionDays,
    },
    ...(version.tags === undefined ? {} : { tags: version.tags }),
  };
}

/** In a listing of the vault: the properties of the current version under an id without a version. */
export function listed(call: Call, secret: VaultSecret) {
  return { ...bundle(call, secret.name, secret.current), id: `${call.origin}/secrets/${secret.name}` };
}

/** As `listed`, of a deleted secret. */
export function listedDeleted(call: Call, secret: DeletedVaultSecret) {
  return { ...listed(call, secret), ...deletion(call, secret) };
}

export function deletedBundle(call: Call, secret: DeletedVaultSecret) {
  return { ...bundle(call, secret.name, secret.current), ...deletion(call, secret) };
}

/** The size of the page, and what the last page ended with. */
export function paging(call: Call): { size: number; marker: string } {
  const size = Number(call.query.get("maxresults") ?? pageSize);
  if (!Number.isInteger(size) || size < 1 || size > pageSize) {
    throw invalidParameter("maxresults");
  }
  const token = call.query.get("$skiptoken");
  return { size, marker: token === null ? "" : Buffer.from(token, "base64url").toString("utf8") };
}

/** `found` holds one element more than the page where there is a next one. */
export function page(call: Call, size: number, found: readonly { marker: string; item: unknown }[]): Reply {
  const shown = found.slice(0, size);
  const next = new URLSearchParams({
    "api-version": call.query.get("api-version") ?? "",
    $skiptoken: Buffer.from(shown.at(-1)?.marker ?? "").toString("base64url"),
    maxresults: String(size),
  });
  return ok({
    value: shown.map(({ item }) => item),
    nextLink: found.length > size ? `${call.origin}${call.path}?${next}` : null,
  });
}

export function ok(body: unknown): Reply {
  return { status: 200, body };
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidProperty();
  }
  return value as Record<string, unknown>;
}

function given(name: keyof VersionAttributes, value: unknown, type: string): VersionAttributes {
  if (value === undefined || value === null) {
    return {};
  }
  if (typeof value !== type) {
    throw invalidProperty();
  }
  return { [name]: value };
}

function deletion(call: Call, secret: DeletedVaultSecret) {
  return {
    recoveryId: `${call.origin}/deletedsecrets/${secret.name}`,
    deletedDate: secret.deleted,
    scheduledPurgeDate: secret.scheduledPurge,
  };
}
