import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { HttpResponseInit } from "@azure/functions";
import { endpoint } from "../../src/http/endpoint.ts";
import { ui } from "../../src/http/ui.ts";
import { aRequest, type Scene } from "./scene.ts";

/** The status page of a scene at `/api/ui`, for whoever has signed in: the platform in front is left out. */
export async function servePage(scene: Scene): Promise<{ readonly url: string } & AsyncDisposable> {
  const environment = { WEBSITE_AUTH_ENABLED: "True" };
  const handler = endpoint(async () => ui, { runner: scene.runner, access: "entra", environment });
  const server = createServer(async (request, response) => {
    const { status, headers, body, cookies } = (await handler(
      aRequest({
        method: request.method ?? "GET",
        url: `http://${request.headers.host}${request.url}`,
        headers: { ...(request.headers as Record<string, string>), "x-ms-client-principal-id": "somebody" },
        body: await text(request),
      }),
      scene.context,
    )) as HttpResponseInit;
    const [cookie] = cookies ?? [];
    const { path, sameSite } = cookie ?? {};
    response.writeHead(status ?? 200, {
      ...(headers as Record<string, string>),
      ...(cookie === undefined
        ? {}
        : { "set-cookie": `${cookie.name}=${cookie.value}; Path=${path}; HttpOnly; SameSite=${sameSite}` }),
    });
    response.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/ui`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
