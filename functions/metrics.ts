import { app } from "@azure/functions";
import { authLevel, endpoint } from "../src/http/endpoint.ts";

app.http("metrics", {
  methods: ["GET"],
  authLevel,
  route: "metrics",
  handler: endpoint(async () => (await import("../src/http/metrics.ts")).metrics),
});
