/*
 * Preloaded into a program whose clock a test moves: each message from the parent is a number of milliseconds to go ahead,
 * and is answered once that is done. The program ends with its parent.
 */
const MachineDate = globalThis.Date;
let aheadMs = 0;

class ShiftedDate extends MachineDate {
  constructor(...given: []) {
    super(...(given.length === 0 ? ([MachineDate.now() + aheadMs] as unknown as []) : given));
  }

  static override now(): number {
    return MachineDate.now() + aheadMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
process.on("message", (ms) => {
  aheadMs += Number(ms);
  process.send?.(aheadMs);
});
process.on("disconnect", () => process.exit());
