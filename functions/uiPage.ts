import { app } from "@azure/functions";
import { endpoint } from "../src/http/endpoint.ts";

app.http("ui-page", {
  methods: ["GET", "POST"],
  authLevel: "function",
  route: "ui/page",
  handler: endpoint(async () => (await import("../src/http/ui.ts")).uiPage, { access: "key" }),
});
