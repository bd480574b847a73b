import type { OutputConfiguration, ReadyRotation } from "../config/configuration.ts";

/**
 * Outputs that for the second time in a row got a version for the sake of another one that did not get the same token. Once
 * may happen: which of them cannot be written shows only when it is tried.
 */
export class WrittenInVain {
  /** What this tick wrote only because another output needed it. */
  #comeAlong: { rotation: ReadyRotation; output: OutputConfiguration }[] = [];
  /** Outputs that were written so, and in vain, since the outputs of their rotation last held one token. */
  readonly #before = new Map<string, ReadonlySet<string>>();

  tickBegan(): void {
    this.#comeAlong = [];
  }

  cameAlong(rotation: ReadyRotation, output: OutputConfiguration): void {
    this.#comeAlong.push({ rotation, output });
  }

  /** The outputs of the rotation agree, or something that is nobody's fault keeps them apart. */
  excuse({ name }: ReadyRotation): void {
    this.#before.delete(name);
  }

  /** The outputs of the rotation hold different tokens when a tick ends: those that were written so again. */
  again(rotation: ReadyRotation): string[] {
    const written = this.#comeAlong
      .filter((one) => one.rotation === rotation)
      .map(({ output }) => output.secret);
    const before = this.#before.get(rotation.name) ?? new Set();
    this.#before.set(rotation.name, new Set([...before, ...written]));
    return written.filter((secret) => before.has(secret));
  }
}
