/*
 * A process of its own that spends a refresh token whenever its parent says so, and answers what came of it. Everything is
 * as in a deployment but for the credential of the leases, which is what the blob service's emulator takes.
 */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { systemClock } from "../../src/clock.ts";
import { RotatorError } from "../../src/errors.ts";
import { chooseIdentity } from "../../src/identity.ts";
import { createLeases } from "../../src/leases/leases.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { oauthRefreshToken } from "../../src/sources/oauthRefreshToken.ts";
import { createSourceSecrets } from "../../src/sources/sourceSecrets.ts";
import { createKeyVaultStore } from "../../src/stores/keyVault.ts";

/** As the only argument, in JSON. */
export interface RacerOptions {
  readonly tokenEndpoint: string;
  readonly scopes: readonly string[];
  readonly secret: string;
  /** Absent: this process knows only of itself. */
  readonly leaseContainerUrl?: string;
  readonly storageToken: string;
}

/** What the parent is answered: `spent`, or the code of the error. */
export type RacerAnswer = string;

const options: RacerOptions = JSON.parse(process.argv[2] ?? "{}");
const { KEY_VAULT_URL: vault = "" } = process.env;
const clock = systemClock;
const { credential } = chooseIdentity(process.env);
const store = createKeyVaultStore({ vault, credential, clock });
const source = await oauthRefreshToken.create(
  oauthRefreshToken.schema(z).parse({
    kind: "oauth-refresh-token",
    tokenEndpoint: options.tokenEndpoint,
    clientId: "rotator",
    scopes: options.scopes,
    refreshToken: { secret: options.secret },
  }),
  {
    clock,
    credential,
    fetch: safeFetch(),
    secrets: createSourceSecrets({
      storeOf: () => store,
      defaultVault: vault,
      rotation: "app",
      newOperation: randomUUID,
    }),
    leases: createLeases({
      environment: { LEASE_CONTAINER_URL: options.leaseContainerUrl },
      credential: async () => ({
        getToken: async () => ({ token: options.storageToken, expiresOnTimestamp: clock.now() + 3_600_000 }),
      }),
      clock,
    }),
    nested: () => Promise.reject(new Error("nothing is nested here")),
    configurationDirectory: "",
    authorityHost: "",
    rotation: "app",
  },
);

process.on("message", async () => {
  let answer: RacerAnswer = "spent";
  try {
    await source.mint({ signal: new AbortController().signal, giveUpAt: 0, forced: false });
  } catch (error) {
    answer = error instanceof RotatorError ? error.code : String(error);
  }
  process.send?.(answer);
});
process.send?.("ready" satisfies RacerAnswer);
