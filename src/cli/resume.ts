import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { openRotator } from "./rotator.ts";

/** Takes the mark of `pause` away. A pause that stands in the configuration stays. */
export async function action(io: Io, options: CommonOptions, name: string): Promise<ExitCode> {
  const rotator = await openRotator(io, options);
  const secrets = await rotator.resume(name);
  if (options.json) {
    printJson(io, { rotation: name, paused: false, secrets });
  } else {
    io.stdout.write(`${name} is resumed (${secrets.join(", ") || "no secret yet"}).\n`);
  }
  return 0;
}
