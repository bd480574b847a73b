import { RotatorError } from "../../src/errors.ts";
import { anOutput, hours, minutes } from "../builders.ts";
import { aConsumer, Scene } from "./scene.ts";

/** A Wednesday at eight minutes past noon, UTC, and a rotation in every state that one can be in. */
export function showcase(): Scene {
  const scene = new Scene();
  scene.engine.clock.set(Date.UTC(2026, 5, 3, 12, 8, 21));
  const add = (name: string, secrets: readonly string[], ageMs: number, lifeMs: number, rest = {}) => {
    const outputs = secrets.map((secret) =>
      anOutput({ secret, vault: "https://kv-example.vault.azure.net" }),
    );
    scene.seed(scene.add(name, { outputs, ...rest }), ageMs, lifeMs);
  };
  const forbidden = new RotatorError({
    code: "AppForbidden",
    message: "The rotator may not update the Container App.",
    remedy: "Grant its identity the role that infra/roles.json describes on the app.",
    retryable: false,
  });
  add("postgres-mcp", ["postgres-mcp-uri"], 22 * minutes, 80 * minutes, {
    consumers: aConsumer("postgres-mcp", "postgres-mcp-uri", "current"),
  });
  add("billing-db", ["billing-db-uri"], 31 * minutes, 24 * hours, {
    consumers: aConsumer("billing-api", "billing-db-uri", "failed", forbidden),
  });
  add("reports-db", ["reports-db-uri"], 2 * minutes, 80 * minutes, {
    consumers: aConsumer("reports", "reports-db-uri", "restarting"),
  });
  add("partner-api", ["partner-api-env"], 64 * minutes, 60 * minutes);
  add("oracle-adb", ["oracle-entraid-token"], 48 * minutes, 66 * minutes);
  add("lakebase", ["lakebase-pgpass"], 44 * minutes, 66 * minutes, { timing: { floorMs: 12 * minutes } });
  add("databricks-jobs", ["databricks-token"], 5 * minutes, 60 * minutes);
  add("oci-cli", ["oci-session-token", "oci-session-key"], 31 * minutes, 66 * minutes);
  add("storage-sas", ["storage-sas-token"], 9 * hours, 24 * hours);
  add("onedrive", ["onedrive-auth-tokens"], 18 * minutes, 60 * minutes, { paused: {} });
  scene.add("new-workload", {
    outputs: [anOutput({ secret: "new-workload-token", vault: "https://kv-example.vault.azure.net" })],
  });
  return scene;
}
