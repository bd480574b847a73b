import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/clock.ts";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import type { Verdict } from "../../src/local/faults.ts";
import type { OAuthServer } from "../../src/local/oauthServer.ts";
import type { RequestRecord } from "../../src/local/requestLog.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import type { VaultVersion } from "../../src/local/vaultSecrets.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { hours, minutes } from "../builders.ts";
import { type End, endOf } from "./end.ts";
import {
  addApp,
  clientSecret,
  keyPairSecret,
  microsoftScopes,
  microsoftSecret,
  outputs,
  type Surroundings,
  startSurroundings,
  strictScopes,
  strictSecret,
} from "./surroundings.ts";

/** Where a process is killed. */
export interface Kill {
  readonly call: string;
  /** `before`: the call takes no effect. `after`: it does, and its answer is lost. */
  readonly when: "before" | "after";
}

/** How a tick ended. */
export interface TickEnd {
  readonly killed: boolean;
  /** `undefined` where the process was killed. */
  readonly exitCode: number | undefined;
  /** What it wrote to its standard error, without the lines of a bundle in it. */
  readonly output: string;
  /** Every call that it made, in the order of their arrival. */
  readonly calls: readonly string[];
}

/** How often something has happened: versions by secret, restarts and revisions of the app. */
export type Counts = Readonly<Record<string, number>>;

/**
 * An Azure with everything that a tick can touch, and processes that run the built function app against it. All outputs
 * are due; nobody has used the leases yet, and there is no key pair.
 */
export class World implements AsyncDisposable {
  readonly #surroundings: Surroundings;
  readonly #stack: AsyncDisposableStack;
  /** What a first tick has written, by secret: the tags tell that it is ours. */
  readonly #first = new Map<string, VaultVersion>();
  #app: EmbeddedContainerApp;

  /** @param tick The built function app's entry of the timer. */
  static async start(tick: string): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const surroundings = await startSurroundings(tick, stack);
    const world = new World(surroundings, stack.move());
    await world.#prepareVault();
    const { exitCode, output } = await world.tick();
    assert.equal(exitCode, 0, output);
    for (const secret of outputs) {
      world.#first.set(secret, surroundings.azure.vault.secrets.find(secret));
    }
    return world;
  }

  private constructor(surroundings: Surroundings, stack: AsyncDisposableStack) {
    this.#surroundings = surroundings;
    this.#stack = stack;
    this.#app = addApp(surroundings.arm);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    assert.deepEqual(this.#surroundings.azure.requests.defects, []);
  }

  /** An hour after the first tick. */
  async reset(): Promise<void> {
    const { azure, arm, blobs } = this.#surroundings;
    const { secrets } = azure.vault;
    azure.faults.clear();
    for (const { name } of secrets.list()) {
      secrets.delete(name);
      secrets.purge(name);
    }
    await this.#prepareVault();
    const now = systemClock.now();
    for (const [name, { tags, contentType }] of this.#first) {
      secrets.set(name, `old ${name}`, {
        ...(contentType === undefined ? {} : { contentType }),
        expires: Math.floor((now + minutes) / 1000),
        tags: {
          ...tags,
          token: "of-the-first-tick",
          content: "of-the-first-tick",
          operation: `first-${name}`,
          issued: new Date(now - hours).toISOString(),
        },
      });
    }
    blobs.clear();
    this.#app = addApp(arm);
    azure.requests.clear();
  }

  /** Runs one tick in a process of its own. Nothing that the process has sent takes effect once it is killed. */
  async tick(kill?: Kill): Promise<TickEnd> {
    const { faults } = this.#surroundings.azure;
    const { child, output } = this.#spawn();
    const ended = once(child, "exit");
    const names = new Map<RequestRecord, string>();
    const counts = new Map<string, number>();
    let killed = false;
    const stage = (record: RequestRecord, when: Kill["when"]): Verdict => {
      if (kill !== undefined && kill.when === when && kill.call === names.get(record)) {
        killed = child.kill("SIGKILL");
      }
      return killed ? "drop" : undefined;
    };
    const stop = faults.onCall({
      beforeCall: (record) => {
        const call = nameOf(record);
        const count = (counts.get(call) ?? 0) + 1;
        counts.set(call, count);
        names.set(record, count === 1 ? call : `${call} (${count})`);
        return stage(record, "before");
      },
      afterEffect: (record) => stage(record, "after"),
    });
    const [exitCode] = await ended;
    stop();
    return { killed, exitCode: exitCode ?? undefined, output: output(), calls: [...names.values()] };
  }

  /** A minute goes by for the leases: that of a dead process runs out. */
  passMinute(): void {
    this.#surroundings.azure.faults.inject({ operation: "blobs.*", kind: "clockSkew", ms: minutes });
  }

  /**
   * Whether a refresh token that is taken once is spent, and the one that was given for it has not come to the vault: what
   * nobody can mend but a person. Nothing may have been published that came with it.
   */
  get isLost(): boolean {
    const { requests, vault } = this.#surroundings.azure;
    const spent = requests.of("strict.token").filter(({ effect }) => effect).length;
    const isLost = vault.secrets.versions(strictSecret).length < 1 + spent;
    assert.ok(!isLost || vault.secrets.versions("api-token").length === 1, "published before it was stored");
    return isLost;
  }

  /** Why the refresh token in the vault was refused; `undefined` where it was not. */
  get refusal(): string | undefined {
    return this.#surroundings.azure.vault.secrets.find(strictSecret).tags?.["refused-because"];
  }

  /** Somebody signs in at the provider that takes each refresh token once. */
  async signIn(): Promise<void> {
    const { azure, strict } = this.#surroundings;
    azure.vault.secrets.set(strictSecret, await refreshTokenOf(strict, strictScopes));
  }

  get counts(): Counts {
    const { secrets } = this.#surroundings.azure.vault;
    const names = [...outputs, strictSecret, microsoftSecret, keyPairSecret];
    return {
      ...Object.fromEntries(names.map((name) => [name, secrets.versions(name).length])),
      restarts: this.#app.restarts,
      revisions: this.#app.revisions.length,
    };
  }

  /** What is left. Spends the refresh tokens. */
  end(): Promise<End> {
    return endOf(this.#surroundings, this.#app);
  }

  /** What the operator puts into the vault. */
  async #prepareVault(): Promise<void> {
    const { azure, microsoft } = this.#surroundings;
    await this.signIn();
    azure.vault.secrets.set(microsoftSecret, await refreshTokenOf(microsoft.server, microsoftScopes));
    azure.vault.secrets.set("client-secret", clientSecret);
  }

  #spawn(): { child: ChildProcess; output: () => string } {
    const { tick, environment } = this.#surroundings;
    const oneTick = fileURLToPath(new URL("../../bench/oneTick.ts", import.meta.url));
    const child = spawn(process.execPath, [oneTick, tick], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const chunks: Buffer[] = [];
    child.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk));
    const lines = () => Buffer.concat(chunks).toString("utf8").split("\n");
    return {
      child,
      output: () =>
        lines()
          .filter((line) => line.length < 500)
          .join("\n"),
    };
  }
}

function refreshTokenOf(server: OAuthServer, scopes: readonly string[]): Promise<string> {
  return signedIn(server, { clock: systemClock, fetch: safeFetch() }, { scopes });
}

/** The same in every run: without ports and without what is drawn by lot. */
function nameOf({ operation, target }: RequestRecord): string {
  const stable = target.replace(/127\.0\.0\.1_\d+_(.*)_[0-9a-f]{32}$/, "$1").replace(/--\w+$/, "");
  return stable === "" ? operation : `${operation} ${stable}`;
}
