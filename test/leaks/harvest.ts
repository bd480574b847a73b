import type { EmbeddedAzure } from "../../src/local/azure.ts";
import type { RequestRecord } from "../../src/local/requestLog.ts";
import type { Reply } from "../../src/local/service.ts";
import type { Canaries } from "./canaries.ts";

/** Makes a canary of every secret that any service of the embedded Azure answers from now on. */
export function harvest(azure: EmbeddedAzure, canaries: Canaries): void {
  canaries.add(azure.identity.header, "the header of the identity endpoint");
  azure.faults.onCall({
    afterEffect: (call, reply) => {
      for (const [name, text] of secretsOf(call, documentOf(reply))) {
        canaries.add(text, `${name} of ${call.operation}`);
      }
    },
  });
}

/** Every value of every version of every secret that the vaults hold now. */
export function harvestVaults(azure: EmbeddedAzure, canaries: Canaries): void {
  for (const vault of azure.vaults.values()) {
    for (const { name } of vault.secrets.list()) {
      for (const { value } of vault.secrets.versions(name)) {
        canaries.add(value.reveal(), `a version of ${name}`);
        for (const [field, text] of secretFields(parsed(value.reveal()))) {
          canaries.add(text, `${field} in a version of ${name}`);
        }
      }
    }
  }
}

/** Names of fields that hold secrets, in whatever shape a service answers. */
const secretField = /(?:^|_)(?:token|secret|password|credential|device_code)$|Token$|Secret$|Key$/;

function secretsOf({ operation }: RequestRecord, document: unknown): [string, string][] {
  const holdsValues = /^keyvault\.|\.listSecrets$/i.test(operation);
  return [...secretFields(document), ...(holdsValues ? fields(document, /^value$/) : [])];
}

function secretFields(document: unknown): [string, string][] {
  return fields(document, secretField);
}

function fields(document: unknown, wanted: RegExp): [string, string][] {
  if (typeof document !== "object" || document === null) {
    return [];
  }
  return Object.entries(document).flatMap(([name, value]): [string, string][] =>
    typeof value === "string" ? (wanted.test(name) ? [[name, value]] : []) : fields(value, wanted),
  );
}

function documentOf({ body }: Reply): unknown {
  return Buffer.isBuffer(body) || typeof body === "string" ? parsed(body.toString()) : body;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
