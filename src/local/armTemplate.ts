import type { SecretValue } from "../secretValue.ts";
import { secretRefNotFound } from "./armRefusals.ts";
import { type Json, objectOf } from "./armResource.ts";
import type { ArmSecret, ArmSecrets } from "./armSecrets.ts";

/** The variables that containers of a template get when they start now, by name. */
export function environmentOf(template: Json, secrets: ArmSecrets): Map<string, string | SecretValue> {
  const environment = new Map<string, string | SecretValue>();
  for (const container of containersOf(template)) {
    for (const { name, value, secretRef } of variablesOf(container)) {
      const given = typeof secretRef === "string" ? secrets.valueOf(secretRef) : String(value ?? "");
      environment.set(String(name), given ?? "");
    }
  }
  return environment;
}

/** A secret that a container refers to cannot be left out. */
export function checkSecretRefs(template: Json, secrets: readonly ArmSecret[]): void {
  for (const container of containersOf(template)) {
    for (const { secretRef } of variablesOf(container)) {
      if (typeof secretRef === "string" && !secrets.some(({ name }) => name === secretRef)) {
        throw secretRefNotFound(secretRef, String(container.name));
      }
    }
  }
}

export function minReplicas(template: Json): number {
  return Number(objectOf(template.scale)?.minReplicas ?? 0);
}

function containersOf({ containers }: Json): readonly Json[] {
  return Array.isArray(containers) ? containers : [];
}

function variablesOf({ env }: Json): readonly Json[] {
  return Array.isArray(env) ? env : [];
}
