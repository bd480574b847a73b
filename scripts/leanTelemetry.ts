import type { Plugin } from "rolldown";

/*
 * `applicationinsights` brings four fifths of code that is never called here: it can instrument every database client,
 * speak OTLP and gRPC, and register all of that with the process. The rotator sends events and metrics through a client
 * of its own (`src/telemetry/applicationInsightsClient.ts`), and loads the package at the end of every first tick.
 */

/** Only what sets up the whole process, or sends elsewhere than to Application Insights, asks for these. */
const neverCalled =
  /^@azure\/monitor-opentelemetry$|^@opentelemetry\/exporter-(?:logs|metrics|trace)-otlp-http$/;

/**
 * Asks a server of Microsoft's (OneSettings) every hour how the package should behave. There is no setting to turn that
 * off, and an app whose network is closed cannot reach it.
 */
const settingsPoller = /[\\/]monitor-opentelemetry-exporter[\\/].*[\\/]configurationManager\.js$/;

export const leanTelemetry: Plugin = {
  name: "lean-telemetry",
  resolveId: (id) => (neverCalled.test(id) ? `\0never-called:${id}` : undefined),
  load: (id) => {
    if (id.startsWith("\0never-called:")) {
      return "module.exports = {};";
    }
    return settingsPoller.test(id) ? noPoller : undefined;
  },
};

const noPoller = `
const manager = { initialize() {}, shutdown() {}, registerCallback() {}, getSettings: () => ({}) };
exports.ConfigurationManager = { getInstance: () => manager };
`;
