import { app } from "@azure/functions";
import { authLevel, endpoint } from "../src/http/endpoint.ts";

app.http("rotate", {
  methods: ["POST"],
  authLevel,
  route: "rotations/{name}/rotate",
  handler: endpoint(async () => (await import("../src/http/rotate.ts")).rotate),
});
