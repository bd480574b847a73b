import type { Output } from "./io.ts";

export interface LiveText extends Disposable {
  readonly show: (text: string) => void;
}

/**
 * Text that takes the place of what it said before, for a person at a terminal; elsewhere one text follows the other.
 * Dispose of it at the end: that gives the terminal its cursor back.
 */
export async function openLiveText(output: Output): Promise<LiveText> {
  if (!output.isTerminal) {
    return { show: output.write, [Symbol.dispose]: () => {} };
  }
  const { createLogUpdate } = await import("log-update");
  const show = createLogUpdate(process.stdout);
  return { show, [Symbol.dispose]: () => show.done() };
}
