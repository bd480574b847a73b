import * as z from "zod";
import { containerApp } from "../../src/consumers/containerApp.ts";
import { containerAppJob } from "../../src/consumers/containerAppJob.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type EmbeddedContainerApps, startContainerApps } from "../../src/local/containerApps.ts";
import type { ContainerAppOptions, EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import type { CallContext, Consumer, WantedSecret } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { credential } from "../local/support.ts";
import { VirtualClock } from "../virtualClock.ts";

export const subscription = "11111111-2222-4333-8444-555555555555";
export const group = `/subscriptions/${subscription}/resourceGroups/rg-app/providers`;
export const readerIdentity = `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/reader`;
export const minutes = 60_000;

/** One embedded Azure with Container Apps for a file of tests; every test brings an app of its own. */
export class World implements AsyncDisposable {
  readonly clock: VirtualClock;
  readonly azure: EmbeddedAzure;
  readonly arm: EmbeddedContainerApps;
  readonly #trust: Disposable;
  #count = 0;
  #skewMs = 0;

  static async start(): Promise<World> {
    const clock = new VirtualClock();
    const azure = await startEmbeddedAzure({ clock });
    const arm = await startContainerApps({ clock, serve: azure.serve }, azure.issuer, {
      vaults: azure.vaults.values(),
    });
    return new World(clock, azure, arm);
  }

  private constructor(clock: VirtualClock, azure: EmbeddedAzure, arm: EmbeddedContainerApps) {
    this.clock = clock;
    this.azure = azure;
    this.arm = arm;
    this.#trust = azure.trustInThisProcess();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#trust[Symbol.dispose]();
    await this.azure.stop();
  }

  /** Forgets faults, requests and roles of the test before. */
  reset(): void {
    this.azure.faults.clear();
    this.#skewMs = 0;
    this.azure.requests.clear();
    this.azure.vault.assignments = undefined;
    this.arm.settings.assignments = undefined;
    this.arm.settings.withoutSecrets = "204";
    this.arm.settings.linkedChecks = "named";
  }

  /** An app whose container is given `DATABASE_URI` from `database-uri` and `API_KEY` from `api-key`. */
  addApp(options: Partial<ContainerAppOptions> = {}): EmbeddedContainerApp {
    const app = this.arm.addApp({
      id: this.appId(),
      tags: { team: "data" },
      secrets: [
        { name: "database-uri", value: "postgres://old" },
        { name: "api-key", value: "old-key" },
        { name: "registry-password", value: 'päss "wörd"\n\u2028' },
        { name: "by-reference", keyVaultUrl: this.reference("someone-elses"), identity: "system" },
      ],
      identities: [
        { id: "system", objectId: "app-system" },
        { id: readerIdentity, objectId: "app-reader" },
      ],
      configuration: {
        ingress: { external: true },
        registries: [{ server: "r.example.org", passwordSecretRef: "registry-password" }],
      },
      template: {
        containers: [
          {
            name: "server",
            image: "server:1",
            env: [
              { name: "DATABASE_URI", secretRef: "database-uri" },
              { name: "API_KEY", secretRef: "api-key" },
              { name: "MODE", value: "production" },
            ],
          },
        ],
      },
      ...options,
    });
    // Long ago, as far as a restart is concerned.
    this.clock.set(this.clock.now() + 60 * minutes);
    return app;
  }

  appId(): string {
    this.#count += 1;
    return `${group}/Microsoft.App/containerApps/app-${this.#count}`;
  }

  jobId(): string {
    this.#count += 1;
    return `${group}/Microsoft.App/jobs/job-${this.#count}`;
  }

  /** The address of a secret in the vault, which is there. */
  reference(name: string): string {
    this.azure.vault.secrets.set(name, "someone else's");
    return `${this.azure.vault.url}/secrets/${name}`;
  }

  /** A rotation's new version in the vault, wanted as a secret of the consumer. */
  rotate(secret: string, text: string): WantedSecret {
    const output = `${secret}-output`;
    const version = this.azure.vault.secrets.set(output, text);
    return {
      rotation: `rotation-of-${secret}`,
      output,
      vault: this.azure.vault.url,
      secret,
      operation: `operation-${version.id}`,
      load: async () => new SecretValue(text),
      version: async () => version.id,
    };
  }

  consumer(
    app: { readonly id: string },
    bindings: readonly Partial<z.input<ReturnType<typeof containerApp.schema>>>[] = [
      { secret: "database-uri" },
      { secret: "api-key" },
    ],
  ): Promise<Consumer> {
    const options = bindings.map((binding) =>
      containerApp.schema(z).parse({
        kind: "container-app",
        app: app.id,
        output: `${(binding as { secret: string }).secret}-output`,
        ...binding,
      }),
    );
    return containerApp.create(options, this.environment());
  }

  job(id: string, secrets: readonly string[]): Promise<Consumer> {
    const options = secrets.map((secret) =>
      containerAppJob.schema(z).parse({
        kind: "container-app-job",
        job: id,
        secret,
        output: `${secret}-output`,
      }),
    );
    return containerAppJob.create(options, this.environment());
  }

  /** Sets the clocks of Azure ahead of the rotator's (behind where negative), those that date tokens included. */
  skewAzure(ms: number): void {
    this.#skewMs = ms;
    this.azure.faults.inject({ operation: "containerApps.*", kind: "clockSkew", ms });
  }

  environment() {
    const now = () => this.clock.now() + this.#skewMs;
    const identity = credential({ ...this.azure, clock: { now, sleep: this.clock.sleep } });
    return { clock: this.clock, credential: async () => identity, resourceManagerUrl: this.arm.url };
  }

  context(signal = new AbortController().signal, budgetMs = 5 * minutes): CallContext {
    return { signal, giveUpAt: this.clock.now() + budgetMs };
  }

  /** Brings the consumer up to date as a tick would, with time passing as needed. */
  reconcile(consumer: Consumer, wanted: readonly WantedSecret[], context = this.context()) {
    return this.clock.run(consumer.reconcile(wanted, context));
  }

  inspect(consumer: Consumer, wanted: readonly WantedSecret[]) {
    return this.clock.run(consumer.inspect(wanted, this.context()));
  }

  /** The operations since the last call, in order. */
  operations(): string[] {
    const operations = this.azure.requests.all.map(({ operation }) =>
      operation.replace("containerApps.", ""),
    );
    this.azure.requests.clear();
    return operations;
  }
}

/** The variable that the app's containers run with, each. */
export function variable(app: EmbeddedContainerApp, name: string): string[] {
  return app.containers().map(({ environment }) => {
    const value = environment.get(name) ?? "";
    return typeof value === "string" ? value : value.reveal();
  });
}

/** Every secret of the app as it is configured. */
export function secretsOf(app: {
  readonly secrets: EmbeddedContainerApp["secrets"];
}): Record<string, string> {
  return Object.fromEntries(
    app.secrets.configured.map((secret) =>
      "value" in secret
        ? [secret.name, secret.value.reveal()]
        : [secret.name, `${secret.keyVaultUrl} as ${secret.identity}`],
    ),
  );
}
