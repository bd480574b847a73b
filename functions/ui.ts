import { app } from "@azure/functions";
import { endpoint } from "../src/http/endpoint.ts";

// The first answer tells nothing, or is given to those only who have signed in: see src/http/ui.ts.
app.http("ui", {
  methods: ["GET", "POST"],
  authLevel: "anonymous",
  route: "ui",
  handler: endpoint(async () => (await import("../src/http/ui.ts")).ui),
});
