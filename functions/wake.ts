import { app } from "@azure/functions";
import { endpoint } from "../src/http/endpoint.ts";

// The alert on silence calls it by this name and route, and with a key: an alert cannot sign in.
app.http("tick-now", {
  methods: ["POST"],
  authLevel: "function",
  route: "tick",
  handler: endpoint(async () => (await import("../src/http/wake.ts")).wake, { access: "key" }),
});
