/*
 * The calls of a first tick with nothing but what Node.js has: what the network, TLS and the other side of it cost. Prints
 * nothing; fails where the vault does not take the token.
 */
import http from "node:http";
import https from "node:https";

const {
  IDENTITY_ENDPOINT = "",
  IDENTITY_HEADER = "",
  AZURE_CLIENT_ID = "",
  KEY_VAULT_URL = "",
} = process.env;
const agent = new https.Agent({ keepAlive: true });

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

function call(
  url: URL,
  {
    method = "GET",
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const secure = url.protocol === "https:";
  const request = (secure ? https : http).request(url, {
    method,
    headers,
    ...(secure ? { agent } : {}),
  });
  request.on("error", reject);
  request.on("response", (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("end", () => resolve({ status: response.statusCode, body: text }));
  });
  request.end(body);
  return promise;
}

async function token(resource: string): Promise<string> {
  const url = new URL(IDENTITY_ENDPOINT);
  url.search = String(
    new URLSearchParams({ "api-version": "2019-08-01", resource, client_id: AZURE_CLIENT_ID }),
  );
  const { body } = await call(url, { headers: { "X-IDENTITY-HEADER": IDENTITY_HEADER } });
  return JSON.parse(body).access_token;
}

const version = "api-version=2026-04-01";
const list = new URL(`/secrets?${version}`, KEY_VAULT_URL);
await call(list, {});
const authorization = `Bearer ${await token("https://vault.azure.net")}`;
await call(list, { headers: { authorization } });
const { status, body } = await call(new URL(`/secrets/token?${version}`, KEY_VAULT_URL), {
  method: "PUT",
  headers: { authorization, "content-type": "application/json" },
  body: JSON.stringify({ value: await token("https://ossrdbms-aad.database.windows.net") }),
});
agent.destroy();
if (status !== 200) {
  throw new Error(`The vault answered ${status}: ${body}`);
}
