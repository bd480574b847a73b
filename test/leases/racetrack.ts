import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { type Azurite, startAzurite } from "./azurite.ts";
import type { RacerAnswer, RacerOptions } from "./racer.ts";

const secret = "refresh-token";
const scopes = ["offline_access", "all-apis"];

/**
 * Two processes that work on one refresh token, of a provider that takes each one once: a second use ends all that came of
 * it.
 */
export class Racetrack implements AsyncDisposable {
  readonly azure: EmbeddedAzure;
  readonly #server: OAuthServer;
  readonly #azurite: Azurite;
  readonly #stack: AsyncDisposableStack;
  #racers: readonly ChildProcess[] = [];

  static async start(): Promise<Racetrack> {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "race-"));
    stack.defer(() => rm(directory, { recursive: true }));
    const azure = await startEmbeddedAzure({ caCertificateFile: join(directory, "ca.pem") });
    stack.use(azure);
    stack.use(azure.trustInThisProcess());
    const clients = [{ clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] }];
    const [server, azurite] = await Promise.all([
      startOAuthServer(azure, { clients }),
      startAzurite(azure.tls),
    ]);
    stack.use(azurite);
    return new Racetrack(azure, server, azurite, stack.move());
  }

  private constructor(
    azure: EmbeddedAzure,
    server: OAuthServer,
    azurite: Azurite,
    stack: AsyncDisposableStack,
  ) {
    this.azure = azure;
    this.#server = server;
    this.#azurite = azurite;
    this.#stack = stack;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clear();
    await this.#stack.disposeAsync();
    assert.deepEqual(this.azure.requests.defects, []);
  }

  /** Starts two new processes over a new refresh token. */
  async line(leases: "shared" | "of each"): Promise<void> {
    await this.#clear();
    const environment = { clock: systemClock, fetch: safeFetch() };
    this.azure.vault.secrets.set(secret, await signedIn(this.#server, environment, { scopes }));
    this.azure.requests.clear();
    const storageToken = await this.#azurite.credential.getToken([]);
    const options: RacerOptions = {
      tokenEndpoint: this.#server.tokenEndpoint,
      scopes,
      secret,
      storageToken: storageToken?.token ?? "",
      ...(leases === "shared" ? { leaseContainerUrl: this.#azurite.containerUrl } : {}),
    };
    this.#racers = [1, 2].map(() =>
      fork(new URL("racer.ts", import.meta.url), [JSON.stringify(options)], {
        env: { PATH: process.env.PATH, ...this.azure.environment },
        execArgv: [],
      }),
    );
    await Promise.all(this.#racers.map((racer) => once(racer, "message")));
  }

  /** Lets both spend the refresh token at once. What came of it, in no order. */
  async race(): Promise<readonly RacerAnswer[]> {
    return await Promise.all(this.start());
  }

  /** The same; each answer as it comes. */
  start(): readonly Promise<RacerAnswer>[] {
    return this.#racers.map(async (racer) => {
      const answer = once(racer, "message");
      racer.send("go");
      return String((await answer)[0]);
    });
  }

  /** What the provider has answered since the processes were started. */
  get grants(): { readonly spent: number; readonly refused: number } {
    const statuses = this.azure.requests.of("oauth.token").map(({ status }) => status);
    const spent = statuses.filter((status) => status === 200).length;
    return { spent, refused: statuses.length - spent };
  }

  async #clear(): Promise<void> {
    this.azure.faults.clear();
    await Promise.all(this.#racers.map((racer) => racer.kill("SIGKILL") && once(racer, "exit")));
    this.#racers = [];
  }
}

/** Races so often, and says how it went. */
export async function neverSpentTwice(track: Racetrack, races: number): Promise<string> {
  await track.line("shared");
  const answers = new Map<string, number>();
  for (let count = 0; count < races; count += 1) {
    const both = await track.race();
    assert.ok(both.includes("spent"), `race ${count}: ${both}`);
    for (const answer of both) {
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  }
  const { spent = 0, LeaseHeld: held = 0, ...others } = Object.fromEntries(answers);
  assert.deepEqual(others, {});
  assert.deepEqual(track.grants, { spent, refused: 0 });
  assert.ok(held > races / 2, `only ${held} of ${races} were close`);
  return `${races} races: spent ${spent} times, found the lease held ${held} times, spent twice 0 times`;
}
