/** Of a configuration; some 800 rotations. What fewer of them keep is little beside what the process takes anyway. */
const longConfiguration = 100_000;

/**
 * Keeps V8 from enlarging the part of its heap where new objects are made, for the rest of the process, where the
 * configuration is long.
 *
 * V8 doubles that part, up to 64 MB, whenever enough of what was made in it survives, and a tick over thousands of
 * rotations keeps what it reads. It is no quicker for it: the work waits for the vault. With the part as it is after the
 * start, a tick over 10,000 fresh secrets takes 50 MB less and no more processor time (`npm run bench -- fresh-tick`).
 */
export function keepYoungGenerationSmall(characters: number): void {
  if (characters >= longConfiguration) {
    // Not imported: the start of a process with a short configuration would pay for it too.
    process.getBuiltinModule("node:v8").setFlagsFromString("--semi-space-growth-factor=1");
  }
}
