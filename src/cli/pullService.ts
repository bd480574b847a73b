import { basename, dirname } from "node:path";
import type { Configuration } from "../config/configuration.ts";
import { type ServiceManager, serviceUnit } from "../delivery/files/serviceUnit.ts";
import type { Io } from "./io.ts";
import { printJson } from "./io.ts";
import type { PullOptions } from "./pull.ts";

/** Prints a unit that runs this command line, with the settings of this moment. */
export function printService(
  io: Io,
  { exec: command, json, sharedDirectories }: PullOptions,
  manager: ServiceManager,
  { file }: Configuration,
  names: readonly string[],
): void {
  const program = [process.execPath, process.argv[1] ?? ""];
  const {
    unit,
    file: unitFile,
    start,
  } = serviceUnit(manager, {
    name: (names.length === 0 ? basename(dirname(file)) : names.join("-")).replace(/[^\w-]/g, "-"),
    command: [
      ...program,
      "pull",
      ...names,
      "--watch",
      "--config",
      file,
      ...(sharedDirectories ? ["--shared-directories"] : []),
      ...(command === undefined ? [] : ["--exec", command]),
    ],
    environment: Object.fromEntries(
      handedOn.flatMap((name) => {
        const value = io.environment[name];
        return value === undefined || value === "" ? [] : [[name, value]];
      }),
    ),
  });
  if (json) {
    printJson(io, { unit, file: unitFile, start });
    return;
  }
  io.stdout.write(unit);
  const commands = start.map((line) => `  ${line}\n`).join("");
  io.stderr.write(`Write this to ${unitFile}, then:\n${commands}`);
}

/** What the command needs of the environment that it is run in now; nothing of it is secret. */
const handedOn = [
  "PATH",
  "KEY_VAULT_URL",
  "AZURE_CLIENT_ID",
  "AZURE_TENANT_ID",
  "AZURE_TOKEN_CREDENTIALS",
  "AZURE_AUTHORITY_HOST",
  "AZURE_CONFIG_DIR",
  "NODE_EXTRA_CA_CERTS",
  "XDG_STATE_HOME",
];
