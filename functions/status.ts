import { app } from "@azure/functions";
import { authLevel, endpoint } from "../src/http/endpoint.ts";

app.http("status", {
  methods: ["GET"],
  authLevel,
  route: "status",
  handler: endpoint(async () => (await import("../src/http/status.ts")).status),
});
