import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Writes a configuration of so many rotations, all of one source, and gives its path. */
export function manyRotations(count: number): string {
  const source = { kind: "entra", scope: "https://ossrdbms-aad.database.windows.net/.default" };
  const rotations = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `r${index}`,
      { source, outputs: [{ secret: `token-${index}` }] },
    ]),
  );
  const file = join(mkdtempSync(join(tmpdir(), "bench-")), "rotations.json");
  writeFileSync(file, JSON.stringify({ rotations }));
  return file;
}
