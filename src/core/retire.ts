import type { CallContext, SecretStore } from "../ports.ts";
import type { Output, Retirement } from "./rotation.ts";
import { belongsTo } from "./tags.ts";

/**
 * Disables versions that nobody can need any more: ours, expired, older than the grace, and not among the newest that are
 * kept. The current version and the one before it are never touched: a reader may still hold the latter.
 */
export async function retireSuperseded(
  output: Output,
  rotation: string,
  { graceMs, keep }: Retirement,
  store: SecretStore,
  now: number,
  context: CallContext,
): Promise<number> {
  const versions = await store.listVersions(output.secret, context);
  const superseded = versions.slice(Math.max(2, keep)).filter((version) => {
    const expired = version.expiresOn !== undefined && version.expiresOn.getTime() <= now;
    const old = version.createdOn !== undefined && version.createdOn.getTime() + graceMs <= now;
    return version.enabled && expired && old && belongsTo(version, rotation);
  });
  for (const { version } of superseded) {
    if (version !== undefined) {
      await store.disable(output.secret, version, context);
    }
  }
  return superseded.length;
}
