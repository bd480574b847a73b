import type { EmbeddedService } from "./service.ts";

/**
 * The operations that exist. A fault for, or a count of, an operation that nobody serves would never match and so make a
 * test pass that tests nothing; it is an error instead.
 */
export class OperationNames {
  readonly #names = new Set<string>();

  add(service: EmbeddedService): void {
    for (const operation of ["challenge", "unknown", ...service.routes.map((route) => route.operation)]) {
      this.#names.add(`${service.name}.${operation}`);
    }
  }

  /**
   * A test for operation names by a pattern: `keyvault.setSecret`, `keyvault.*` or `*`.
   * @throws Error where no operation matches.
   */
  matcher(pattern: string): (operation: string) => boolean {
    const prefix = pattern.endsWith("*") ? pattern.slice(0, -1) : undefined;
    const matches = (operation: string) =>
      prefix === undefined ? operation === pattern : operation.startsWith(prefix);
    if (![...this.#names].some(matches)) {
      throw new Error(`No operation matches "${pattern}". There are: ${[...this.#names].sort().join(", ")}.`);
    }
    return matches;
  }
}
