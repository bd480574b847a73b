import { createHash, hash } from "node:crypto";

/** The first hex digits of the SHA-256 of a plain value, whatever the order of its keys. */
export function shortHash(value: unknown, digits: number): string {
  return hash("sha256", canonicalJson(value), "hex").slice(0, digits);
}

/** The same of a list, which may be long and is never laid out as one text. */
export function shortHashOfList(values: Iterable<unknown>, digits: number): string {
  const all = createHash("sha256").update("[");
  let before = "";
  for (const value of values) {
    all.update(before).update(canonicalJson(value));
    before = ",";
  }
  return all.update("]").digest("hex").slice(0, digits);
}

function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map(canonicalJson).join(",")}]`;
  }
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(",")}}`;
}

/** Freezes a plain value and all within it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
