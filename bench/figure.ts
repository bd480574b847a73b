/** One row of the table: what was measured, beside what it is held against. */
export interface Figure {
  readonly what: string;
  readonly measured: string;
  readonly yardstick: string;
  readonly ratio: string;
  readonly target: string;
}
