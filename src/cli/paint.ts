import { styleText } from "node:util";
import type { Output } from "./io.ts";

export type Colour = "red" | "yellow" | "green" | "dim" | "bold";

/** Colours text where colours are wanted: for a person at a terminal, unless `NO_COLOR` is set. */
export function paint(output: Output, colour: Colour, text: string): string {
  return output.hasColours ? styleText(colour, text, { validateStream: false }) : text;
}
