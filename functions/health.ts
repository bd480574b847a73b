import { app, type HttpResponseInit } from "@azure/functions";
import { health } from "../src/functions.ts";

/** Says that the app is alive and when it last ticked, and nothing that a stranger could use. */
export async function healthResponse(): Promise<HttpResponseInit> {
  return { jsonBody: health(), headers: { "cache-control": "no-store" } };
}

app.http("health", { methods: ["GET"], authLevel: "anonymous", route: "health", handler: healthResponse });
