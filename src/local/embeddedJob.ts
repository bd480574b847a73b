import type { SecretValue } from "../secretValue.ts";
import { ArmResource, type Json } from "./armResource.ts";
import type { ArmSecret } from "./armSecrets.ts";
import { checkSecretRefs, environmentOf } from "./armTemplate.ts";

/** One Container Apps job. Its executions start containers of their own. */
export class EmbeddedJob extends ArmResource {
  /** Variables of an execution that starts now. */
  startExecution(): ReadonlyMap<string, string | SecretValue> {
    this.settle();
    return environmentOf(this.template, this.secrets);
  }

  protected override check(template: Json, secrets: readonly ArmSecret[]): void {
    checkSecretRefs(template, secrets);
  }
}
