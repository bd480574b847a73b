import { app } from "@azure/functions";
import { authLevel, endpoint } from "../src/http/endpoint.ts";

app.http("ready", {
  methods: ["GET"],
  authLevel,
  route: "ready/{name}",
  handler: endpoint(async () => (await import("../src/http/ready.ts")).ready),
});
