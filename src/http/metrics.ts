import type { OpenMetricsContentType } from "prom-client";
import { Counter, Gauge, Registry } from "prom-client";
import type { History } from "../app/history.ts";
import type { Survey } from "../core/survey.ts";
import { statusRows } from "../core/survey.ts";
import { belongsTo } from "../core/tags.ts";
import { answer } from "./answers.ts";
import type { Answer } from "./endpoint.ts";

type OpenMetrics = Registry<OpenMetricsContentType>;

/**
 * OpenMetrics. What is true of the installation is derived from the vaults and the consumers; what only this process knows
 * has `process` in its name.
 */
export const metrics: Answer = async ({ runner }) => {
  const registry: OpenMetrics = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const survey = await runner.survey();
  addHealth(registry, survey);
  addLastSuccess(registry, survey);
  addProcess(registry, runner.history);
  return answer(200, registry.contentType, await registry.metrics());
};

const outputLabels = ["rotation", "output", "vault"];

function addHealth(registry: OpenMetrics, survey: Survey): void {
  const expiry = gauge(registry, {
    name: "seconds_to_expiry",
    help: "Until the current version of the secret expires, negative once it has.",
    labelNames: outputLabels,
  });
  const freshness = gauge(registry, {
    name: "freshness",
    help: "1 for the word that tells the output's health.",
    labelNames: [...outputLabels, "freshness"],
  });
  const consumer = gauge(registry, {
    name: "consumer_state",
    help: "1 for the state of the consumer, compared with the newest version of the output.",
    labelNames: ["rotation", "output", "consumer", "state"],
  });
  for (const { rotation, output, vault, ...row } of statusRows(survey)) {
    if (row.secondsToExpiry !== undefined) {
      expiry.set({ rotation, output, vault }, row.secondsToExpiry);
    }
    freshness.set({ rotation, output, vault, freshness: row.freshness }, 1);
    for (const { name, state } of row.consumers) {
      consumer.set({ rotation, output, consumer: name, state }, 1);
    }
  }
}

function addLastSuccess(registry: OpenMetrics, survey: Survey): void {
  const success = gauge(registry, {
    name: "last_success_timestamp_seconds",
    help: "When the current version was written, by the vault's clock and whichever process wrote it.",
    labelNames: outputLabels,
  });
  for (const { rotation, decision } of survey.rotations) {
    for (const { output, state } of decision.outputs) {
      if (state.kind === "present" && belongsTo(state.properties, rotation.name)) {
        const labels = { rotation: rotation.name, output: output.secret, vault: output.vault };
        const writtenAt = state.properties.createdOn?.getTime();
        if (writtenAt !== undefined) {
          success.set(labels, writtenAt / 1000);
        }
      }
    }
  }
}

function addProcess(registry: OpenMetrics, { failures, counts }: History): void {
  const failure = gauge(registry, {
    name: "process_last_failure_timestamp_seconds",
    help: "When the rotation last failed in the process that answers. Other processes have their own.",
    labelNames: ["rotation", "outcome"],
  });
  for (const [rotation, { at, outcome }] of failures) {
    failure.set({ rotation, outcome }, at / 1000);
  }
  const ended = new Counter({
    name: `${prefix}process_rotations_total`,
    help: "How many rotations ended so in the process that answers, since it began.",
    labelNames: ["outcome"],
    registers: [registry],
  });
  for (const [outcome, count] of counts) {
    ended.inc({ outcome }, count);
  }
}

const prefix = "token_rotator_";

function gauge(
  registry: OpenMetrics,
  { name, ...rest }: { name: string; help: string; labelNames: string[] },
): Gauge {
  return new Gauge({ name: `${prefix}${name}`, ...rest, registers: [registry] });
}
