import assert from "node:assert/strict";
import { inspect } from "node:util";
import { RotatorError } from "../../src/errors.ts";
import { type EmbeddedAzure, type EmbeddedAzureOptions, startEmbeddedAzure } from "../../src/local/azure.ts";
import { publicClient } from "../../src/oauth/authentication.ts";
import {
  createOAuthClient,
  type OAuthClient,
  type OAuthClientOptions,
  type OAuthEnvironment,
} from "../../src/oauth/client.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import type { CallContext } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";

/** An embedded Azure that this process trusts, to start authorization servers in. */
export interface Setup extends AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly environment: OAuthEnvironment;
  client(options: Pick<OAuthClientOptions, "server"> & Partial<OAuthClientOptions>): OAuthClient;
}

export async function setUp(options: EmbeddedAzureOptions = {}): Promise<Setup> {
  const azure = await startEmbeddedAzure(options);
  const trust = azure.trustInThisProcess();
  const environment = { clock: azure.clock, fetch: safeFetch() };
  return {
    azure,
    environment,
    client: (given) =>
      createOAuthClient({ clientId: "rotator", authentication: publicClient, ...given }, environment),
    [Symbol.asyncDispose]: async () => {
      trust[Symbol.dispose]();
      await azure.stop();
      assert.deepEqual(azure.requests.defects, []);
    },
  };
}

export function aContext(signal: AbortSignal = new AbortController().signal): CallContext {
  return { signal, giveUpAt: 0 };
}

/** What loads a secret, from the text. */
export function holding(text: string): () => Promise<SecretValue> {
  return async () => new SecretValue(text);
}

/** The RotatorError that `work` ends with; everything else fails the test. */
export async function failure(work: Promise<unknown>): Promise<RotatorError> {
  const error = await work.then(
    () => assert.fail("it succeeded"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof RotatorError, inspect(error));
  return error;
}

/** Asserts that nothing of what an error can be printed as holds one of the texts. */
export function assertSilent(error: RotatorError, ...secrets: readonly string[]): void {
  const printed = [
    inspect(error, { depth: 10, showHidden: true }),
    String(error.stack),
    String((error.cause as Error | undefined)?.stack),
    JSON.stringify({ ...error, message: error.message, cause: error.cause }),
    error.summary,
  ].join("\n");
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")]) {
      assert.ok(!printed.includes(form), `the error tells "${form}":\n${printed}`);
    }
  }
}
