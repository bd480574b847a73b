/** Of a configuration, in bytes; some 800 rotations. What fewer of them keep is little beside what the process takes anyway. */
const longConfiguration = 100_000;

/**
 * Has V8 save memory rather than time, for the rest of the process, where the configuration is long.
 *
 * V8 doubles the part of the heap where new objects are made, up to 64 MB, whenever enough of what was made in it survives,
 * lets the rest grow by half or more before it collects what nobody uses, and takes some 5 MB to compile once more what is
 * called most. A tick over thousands of rotations keeps what it reads, and is no quicker for any of that: it waits for the
 * vault. Without, a tick over 10,000 fresh secrets takes 50 MB less and no more processor time
 * (`npm run bench -- fresh-tick`).
 */
export function keepHeapSmall(bytes: number): void {
  if (bytes >= longConfiguration) {
    // Not imported: the start of a process with a short configuration would pay for it too.
    const v8 = process.getBuiltinModule("node:v8");
    v8.setFlagsFromString("--semi-space-growth-factor=1");
    v8.setFlagsFromString("--heap-growing-percent=25");
    v8.setFlagsFromString("--no-turbofan");
  }
}
