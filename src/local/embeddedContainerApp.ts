import { randomUUID } from "node:crypto";
import type { SecretValue } from "../secretValue.ts";
import {
  operationInProgress,
  revisionInactive,
  revisionNotFound,
  revisionSuffixInUse,
} from "./armRefusals.ts";
import { ArmResource, type ArmResourceOptions, type Json } from "./armResource.ts";
import type { ArmSecret, ReadReference } from "./armSecrets.ts";
import { checkSecretRefs, environmentOf, minReplicas } from "./armTemplate.ts";

/** The platform's own default. */
const mostInactiveRevisions = 100;

/** How the platform starts and replaces replicas. */
export interface ReplicaBehaviour {
  /** Milliseconds from a restart until new replicas are created. Default 0. */
  readonly createMs?: number;
  /** Milliseconds from the creation of a replica until its containers are ready. */
  readonly readyMs: number;
  /** Milliseconds that an old replica goes on running beside its ready successor. */
  readonly drainMs: number;
  /** `crashes`: new replicas never get ready, and the old ones stay. `hangs`: a restart is accepted, and nothing happens. */
  readonly outcome: "ready" | "crashes" | "hangs";
}

export interface ContainerAppOptions extends ArmResourceOptions {
  /** Default `Single`. */
  readonly activeRevisionsMode?: "Single" | "Multiple";
  /** How many replicas run at first. Default 1. */
  readonly replicas?: number;
}

export interface EmbeddedReplica {
  readonly name: string;
  readonly createdAt: number;
  ready: boolean;
  /** Variables of its containers, by name, as they were when it was created. */
  readonly environment: ReadonlyMap<string, string | SecretValue>;
}

export interface EmbeddedRevision {
  readonly name: string;
  readonly createdAt: number;
  active: boolean;
  /** Could not be provisioned. */
  failed: boolean;
  /** Its own copy: a revision does not change. */
  readonly template: Json;
  replicas: EmbeddedReplica[];
}

/** What runs, for demonstrations and tests that ask a container what it works with. */
export interface EmbeddedContainer {
  readonly revision: string;
  readonly replica: string;
  readonly createdAt: Date;
  readonly environment: ReadonlyMap<string, string | SecretValue>;
}

/** One Container App: its revisions, their replicas, and what these were given when they started. */
export class EmbeddedContainerApp extends ArmResource {
  /** May be changed at any time; replicas that are already there are not affected. */
  replicaBehaviour: ReplicaBehaviour = { readyMs: 1_000, drainMs: 500, outcome: "ready" };
  /** Restarts that were accepted. */
  restarts = 0;
  readonly #revisions: EmbeddedRevision[] = [];

  constructor(options: ContainerAppOptions, read: ReadReference, now: () => number) {
    const { activeRevisionsMode = "Single", replicas = 1 } = options;
    super({ ...options, configuration: { activeRevisionsMode, ...options.configuration } }, read, now);
    this.check(this.template, this.secrets.configured);
    const revision = this.#addRevision(now());
    revision.replicas = Array.from({ length: replicas }, () => this.#replica(revision, now(), true));
  }

  /** Oldest first. */
  get revisions(): readonly EmbeddedRevision[] {
    this.settle();
    return this.#revisions;
  }

  get latestRevision(): EmbeddedRevision {
    return this.revisions.at(-1) as EmbeddedRevision;
  }

  /** What runs now, ready or not. */
  containers(): EmbeddedContainer[] {
    return this.revisions.flatMap((revision) =>
      revision.replicas.map(({ name, createdAt, environment }) => ({
        revision: revision.name,
        replica: name,
        createdAt: new Date(createdAt),
        environment,
      })),
    );
  }

  /** @throws Refusal 404 */
  revision(name: string): EmbeddedRevision {
    const found = this.revisions.find((revision) => revision.name === name);
    if (found === undefined) {
      throw revisionNotFound(name);
    }
    return found;
  }

  /** As a scale rule does: to zero, from zero, or in between. */
  scale(count: number, revision = this.latestRevision): void {
    const now = this.settle();
    revision.replicas = revision.replicas.slice(0, count);
    while (revision.replicas.length < count) {
      revision.replicas.push(this.#start(revision, now));
    }
  }

  /** New replicas in place of those of one revision, which stay until the new ones are ready. */
  restart(name: string): void {
    const now = this.settle();
    const revision = this.revision(name);
    if (!revision.active) {
      throw revisionInactive(name);
    }
    if (this.busy) {
      throw operationInProgress(this.name);
    }
    this.restarts += 1;
    this.#replace(revision, now);
  }

  protected override check(template: Json, secrets: readonly ArmSecret[]): void {
    checkSecretRefs(template, secrets);
    const suffix = template.revisionSuffix;
    const name = `${this.name}--${suffix}`;
    const unchanged = JSON.stringify(template) === JSON.stringify(this.template);
    if (suffix && !unchanged && this.#revisions.some((revision) => revision.name === name)) {
      throw revisionSuffixInUse(name);
    }
  }

  /**
   * In single mode the new revision takes over when it is ready; in multiple mode it stands beside the others. One that
   * could not be provisioned stays without replicas.
   */
  protected override templateChanged(at: number, outcome: "succeeds" | "fails"): void {
    const before = this.#revisions.filter(({ active }) => active);
    const count = Math.max(...before.map(({ replicas }) => replicas.length), minReplicas(this.template), 0);
    const revision = this.#addRevision(at);
    if (outcome === "fails") {
      revision.failed = true;
      return;
    }
    revision.replicas = Array.from({ length: count }, () => this.#start(revision, at));
    if (this.configuration.activeRevisionsMode === "Multiple" || this.replicaBehaviour.outcome !== "ready") {
      return;
    }
    const { readyMs, drainMs } = this.replicaBehaviour;
    this.agenda.add(at + (count === 0 ? 0 : readyMs + drainMs), () => {
      for (const old of before) {
        old.active = false;
        old.replicas = [];
      }
    });
  }

  /** The platform restarts what refers to the vault by itself, without a new revision. */
  protected override secretsChangedInVault(at: number): void {
    for (const revision of this.#revisions.filter(({ active }) => active)) {
      this.#replace(revision, at);
    }
  }

  #replace(revision: EmbeddedRevision, at: number): void {
    const { outcome, createMs = 0, readyMs, drainMs } = this.replicaBehaviour;
    if (outcome === "hangs") {
      return;
    }
    this.agenda.add(at + createMs, (then) => {
      const old = revision.replicas;
      revision.replicas = [...old, ...old.map(() => this.#start(revision, then))];
      if (outcome === "ready") {
        this.agenda.add(then + readyMs + drainMs, () => {
          revision.replicas = revision.replicas.filter((replica) => !old.includes(replica));
        });
      }
    });
    this.agenda.pass(at);
  }

  #start(revision: EmbeddedRevision, at: number): EmbeddedReplica {
    const replica = this.#replica(revision, at, false);
    if (this.replicaBehaviour.outcome !== "crashes") {
      this.agenda.add(at + this.replicaBehaviour.readyMs, () => {
        replica.ready = true;
      });
    }
    return replica;
  }

  #replica(revision: EmbeddedRevision, createdAt: number, ready: boolean): EmbeddedReplica {
    const environment = environmentOf(revision.template, this.secrets);
    return { name: `${revision.name}-${randomUUID().slice(-10)}`, createdAt, ready, environment };
  }

  #addRevision(at: number): EmbeddedRevision {
    const suffix = this.template.revisionSuffix || randomUUID().slice(0, 7);
    const revision: EmbeddedRevision = {
      name: `${this.name}--${suffix}`,
      createdAt: at,
      active: true,
      failed: false,
      template: this.template,
      replicas: [],
    };
    this.#revisions.push(revision);
    const inactive = this.#revisions.filter(({ active }) => !active);
    for (const old of inactive.slice(0, Math.max(0, inactive.length - mostInactiveRevisions))) {
      this.#revisions.splice(this.#revisions.indexOf(old), 1);
    }
    return revision;
  }
}
