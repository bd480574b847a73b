import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TokenCredential } from "@azure/identity";
import { BlobServiceClient } from "@azure/storage-blob";
import { SignJWT } from "jose";
import { systemClock } from "../../src/clock.ts";

/** Microsoft's emulator of the blob service, in a process of its own, with nothing on disk. */
export interface Azurite extends AsyncDisposable {
  /** The address of an empty container that is there. */
  readonly containerUrl: string;
  readonly credential: TokenCredential;
  /** Lets the emulator's clock run ahead. */
  advance(ms: number): Promise<void>;
}

/** @param tls PEM of a certificate for 127.0.0.1, which this process trusts, and of its key. */
export async function startAzurite(tls: { readonly key: string; readonly cert: string }): Promise<Azurite> {
  const directory = await mkdtemp(join(tmpdir(), "azurite-"));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  await Promise.all([writeFile(key, tls.key, { mode: 0o600 }), writeFile(cert, tls.cert)]);
  const child = fork(
    createRequire(import.meta.url).resolve("azurite/dist/src/blob/main.js"),
    // With `--oauth`, because tokens are the only way in that we have.
    [
      ...["--blobPort", "0", "--oauth", "basic", "--cert", cert, "--key", key],
      ...["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"],
    ],
    {
      cwd: directory,
      execArgv: ["--import", new URL("shiftedClock.ts", import.meta.url).href],
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    },
  );
  const ended = once(child, "exit");
  const credential = await emulatedCredential();
  const url = await Promise.race([listening(child.stdout), ended.then(() => assert.fail("Azurite ended"))]);
  const { containerClient } = await new BlobServiceClient(
    `${url}/devstoreaccount1`,
    credential,
  ).createContainer("leases");
  return {
    containerUrl: containerClient.url,
    credential,
    advance: async (ms) => {
      const done = once(child, "message");
      child.send(ms);
      await done;
    },
    [Symbol.asyncDispose]: async () => {
      // Asked to end, it waits for connections that clients keep alive.
      child.kill("SIGKILL");
      await ended;
      await rm(directory, { recursive: true });
    },
  };
}

async function listening(output: NodeJS.ReadableStream | null): Promise<string> {
  for await (const line of createInterface({ input: output as NodeJS.ReadableStream })) {
    const [, url] = /successfully listens on (https:\S+)/.exec(line) ?? [];
    if (url !== undefined) {
      output?.resume();
      return url;
    }
  }
  return assert.fail("Azurite does not say where it listens.");
}

/** The emulator looks at issuer, audience and lifetime of a token, and not at its signature. */
async function emulatedCredential(): Promise<TokenCredential> {
  const now = Math.floor(systemClock.now() / 1000);
  const token = await new SignJWT()
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer("https://sts.windows.net/00000000-0000-0000-0000-000000000000/")
    .setAudience("https://storage.azure.com")
    .setIssuedAt(now)
    .setNotBefore(now - 60)
    .setExpirationTime(now + 86_400)
    .sign(new Uint8Array(32));
  return { getToken: async () => ({ token, expiresOnTimestamp: (now + 86_400) * 1000 }) };
}
