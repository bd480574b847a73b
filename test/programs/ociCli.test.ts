import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedOci, startOci } from "../../src/local/oci.ts";
import type { Call, Reply } from "../../src/local/service.ts";
import type { Token, TokenSource } from "../../src/ports.ts";
import { layOut } from "../formats/layOut.ts";
import { firstIdentity } from "../local/support.ts";
import { aMint, type Surroundings, surround } from "../sources/setup.ts";

/*
 * Oracle's CLI reads the session that we write: it finds it valid, signs requests with it, and says when it has expired.
 * OCI_CLI names the program where it is not on the PATH; without it these tests fail.
 */

const program = process.env.OCI_CLI ?? "oci";
const tenancy = "ocid1.tenancy.oc1..example";
let surroundings: Surroundings;
let oci: EmbeddedOci;
let objectStorage: string;
let directory: string;
let source: TokenSource;

before(async () => {
  surroundings = await surround({ resources: [{ identifier: "api://oci" }] });
  // The CLI looks at the machine's clock.
  surroundings.clock.set(systemClock.now());
  const { azure } = surroundings;
  oci = await startOci(azure, {
    clients: [{ clientId: "rotator", secret: "oci-client-secret" }],
    trusts: [
      {
        issuer: `${azure.issuer.url}/${azure.issuer.tenantId}/`,
        audiences: ["api://oci"],
        subject: firstIdentity(azure).objectId,
      },
    ],
    federation: azure.issuer,
  });
  objectStorage = await azure.serve({
    name: "objectstorage",
    routes: [{ operation: "getNamespace", method: "GET", path: "/n", handle: getNamespace }],
  });
  surroundings.store("oci-client-secret", "oci-client-secret");
  source = await surroundings.source({
    kind: "oci-session",
    domain: oci.url,
    clientId: "rotator",
    clientSecret: { secret: "oci-client-secret" },
    subject: { kind: "entra", scope: "api://oci/.default" },
    keyPair: { secret: "oci-key-pair" },
  });
  directory = await mkdtemp(join(tmpdir(), "oci-"));
  await writeFile(join(directory, "ca.pem"), azure.caCertificatePem);
});
after(async () => {
  await surroundings?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** What a signed request to OCI must be: by the key that the session is bound to. */
async function getNamespace(call: Call): Promise<Reply> {
  const authorization = call.headers.authorization ?? "";
  const field = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(authorization)?.[1] ?? "";
  const session = field("keyId").replace(/^ST\$/, "");
  const { jwk } = await oci.verify(session, call.now());
  const signed = field("headers")
    .split(" ")
    .map((name) => `${name}: ${name === "(request-target)" ? `get ${call.path}` : call.headers[name]}`)
    .join("\n");
  const key = createPublicKey({ key: JSON.parse(String(jwk)), format: "jwk" });
  return verify("sha256", Buffer.from(signed), key, Buffer.from(field("signature"), "base64"))
    ? { status: 200, headers: { "content-type": "application/json" }, body: '"the-namespace"' }
    : { status: 401, body: { code: "NotAuthenticated", message: "The signature is wrong." } };
}

interface Ended {
  readonly exitCode: number | string;
  readonly output: string;
  readonly errors: string;
}

/** The CLI with nothing of the user's but the profile. */
function run(...args: readonly string[]): Promise<Ended> {
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    LC_ALL: "C.UTF-8",
    OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING: "True",
  };
  const common = ["--config-file", join(directory, "config"), "--profile", "ROTATED"];
  return new Promise((resolve) => {
    execFile(program, [...common, ...args], { env, timeout: 60_000 }, (error, output, errors) => {
      resolve({
        exitCode: error?.code ?? 0,
        output,
        errors: errors + (error?.code === "ENOENT" ? error : ""),
      });
    });
  });
}

/** As the CSI driver or `pull` puts the outputs there. */
async function write(token: Token, ...outputs: readonly ("config" | "token" | "key")[]): Promise<void> {
  const keyFile = join(directory, "key.pem");
  const securityTokenFile = join(directory, "token");
  const profile = { profile: "ROTATED", region: "eu-frankfurt-1", tenancy, keyFile, securityTokenFile };
  const files = {
    config: { path: join(directory, "config"), given: { format: "oci-config", ...profile } },
    token: { path: securityTokenFile, given: { format: "raw" } },
    key: { path: keyFile, given: { format: "private-key" } },
  } as const;
  for (const { path, given } of outputs.map((output) => files[output])) {
    await writeFile(path, await layOut(given, token), { mode: 0o600 });
  }
}

let runs = 0;
async function mint(): Promise<Token> {
  runs += 1;
  return await source.mint(aMint({ giveUpAt: runs }));
}

function validate(): Promise<Ended> {
  return run("session", "validate", "--local");
}

function signedRequest(): Promise<Ended> {
  const bundle = join(directory, "ca.pem");
  return run(
    ...["--auth", "security_token", "--cert-bundle", bundle, "--endpoint", objectStorage, "os", "ns", "get"],
  );
}

test("the session files are valid to the CLI, and so are the requests that it signs with them", async () => {
  const token = await mint();
  await write(token, "config", "token", "key");
  const { exitCode, errors } = await validate();
  assert.equal(exitCode, 0, errors);
  assert.match(errors, /Session is valid until/);

  const signed = await signedRequest();
  assert.equal(signed.exitCode, 0, signed.errors);
  assert.deepEqual(JSON.parse(signed.output), { data: "the-namespace" });
});

test("a session that has expired is seen as such, and the next one works beside the old key file", async () => {
  oci.sessionsEndAt = surroundings.clock.now() - 60_000;
  await write(await mint(), "config", "token", "key");
  const expired = await validate();
  assert.equal(expired.exitCode, 1);
  assert.match(expired.errors, /Session has expired/);

  oci.sessionsEndAt = undefined;
  await write(await mint(), "token");
  assert.equal((await validate()).exitCode, 0);
  const signed = await signedRequest();
  assert.equal(signed.exitCode, 0, signed.errors);
});
