import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Writes a configuration of so many rotations, all of one source, and gives its path.
 * @param vaults Where the secrets are, in turn. Default: the vault of the environment.
 */
export function manyRotations(count: number, vaults: readonly string[] = []): string {
  const source = { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" };
  const rotations = Object.fromEntries(
    Array.from({ length: count }, (_, index) => {
      const vault = vaults[index % vaults.length];
      const output = { secret: `token-${index}`, ...(vault === undefined ? {} : { vault }) };
      return [`r${index}`, { source, outputs: [output] }];
    }),
  );
  const file = join(mkdtempSync(join(tmpdir(), "bench-")), "rotations.json");
  writeFileSync(file, JSON.stringify({ rotations }));
  return file;
}
