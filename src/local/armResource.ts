import { randomUUID } from "node:crypto";
import { Agenda } from "./agenda.ts";
import { invalidRequestContent, operationInProgress, tagsInvalid } from "./armRefusals.ts";
import { type ArmSecret, ArmSecrets, parseSecrets, type ReadReference } from "./armSecrets.ts";

/** How the platform carries out updates. */
export interface UpdateBehaviour {
  /** Milliseconds from the acceptance (202) to the end; 0 answers 200 when all is done. */
  readonly durationMs: number;
  /** Seconds in `Retry-After` of a 202; absent: no such header. */
  readonly retryAfterSeconds?: number;
  readonly outcome: "succeeds" | "fails";
  /**
   * Whether `tags` of a PATCH are merged with those that are there, as the documentation of the operation says, or
   * replace them, as the resource manager's own rule for PATCH says.
   */
  readonly tags: "merge" | "replace";
}

/** A managed identity that an app or a job carries. */
export interface CarriedIdentity {
  /** `system`, or a resource id. */
  readonly id: string;
  readonly objectId: string;
}

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

export interface ArmResourceOptions {
  /** `/subscriptions/…/resourceGroups/…/providers/Microsoft.App/{containerApps|jobs}/…` */
  readonly id: string;
  /** Default `westeurope`. */
  readonly location?: string;
  /** Default `environment` in the same resource group. */
  readonly environmentId?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** As in a template: `{ name, value }` or `{ name, keyVaultUrl, identity }`. */
  readonly secrets?: readonly Json[];
  /** The rest of `properties.configuration`. */
  readonly configuration?: Json;
  readonly template?: Json;
  readonly identities?: readonly CarriedIdentity[];
}

export interface Operation {
  readonly id: string;
  status: "running" | "succeeded" | "failed";
}

const syncCycleMs = 30 * 60_000;
/** Whose end can still be asked for. */
const mostOperations = 100;

/** What apps and jobs have in common: a document, secrets that no GET shows, and updates that take time. */
export class ArmResource {
  readonly id: string;
  readonly name: string;
  readonly group: string;
  readonly location: string;
  readonly environmentId: string;
  readonly identities: readonly CarriedIdentity[];
  readonly secrets: ArmSecrets;
  /** May be changed at any time. */
  updates: UpdateBehaviour = { durationMs: 1_000, retryAfterSeconds: 1, outcome: "succeeds", tags: "merge" };
  tags: Readonly<Record<string, string>>;
  configuration: Json;
  template: Json;
  provisioningState: "InProgress" | "Succeeded" | "Failed" = "Succeeded";
  readonly operations = new Map<string, Operation>();
  protected readonly agenda = new Agenda();
  readonly #now: () => number;
  #cycling = false;

  constructor(options: ArmResourceOptions, read: ReadReference, now: () => number) {
    const [, , , , group = "", , , , name = ""] = options.id.split("/");
    this.id = options.id;
    this.name = name;
    this.group = group;
    this.location = options.location ?? "westeurope";
    this.environmentId =
      options.environmentId ?? options.id.replace(/[^/]+\/[^/]+$/, "managedEnvironments/environment");
    this.identities = options.identities ?? [];
    this.tags = options.tags ?? {};
    this.configuration = options.configuration ?? {};
    this.template = options.template ?? {};
    this.secrets = new ArmSecrets(parseSecrets(options.secrets ?? []), read);
    this.#now = now;
    this.#cycle(now());
  }

  /** Whether an operation is in progress. */
  get busy(): boolean {
    return this.provisioningState === "InProgress";
  }

  /** Lets everything happen that was due by now, and says what time that is. */
  settle(): number {
    const now = this.#now();
    this.agenda.pass(now);
    return now;
  }

  /**
   * A PATCH, by anybody: JSON merge patch, with `secrets` and other arrays replaced as a whole. Everything is checked
   * before anything changes.
   */
  patch(body: Json, behaviour: UpdateBehaviour = this.updates): Operation {
    const now = this.settle();
    if (this.busy) {
      throw operationInProgress(this.name);
    }
    const properties = objectOf(body.properties) ?? {};
    const { secrets: given, ...configurationPatch } = objectOf(properties.configuration) ?? {};
    const secrets = given === undefined ? this.secrets.configured : parseSecrets(arrayOf(given));
    const template = mergePatch(this.template, objectOf(properties.template) ?? {});
    const tags = mergePatch(
      behaviour.tags === "replace" && body.tags !== undefined ? {} : this.tags,
      objectOf(body.tags) ?? {},
    ) as Record<string, string>;
    checkTags(tags);
    this.secrets.check(secrets);
    this.check(template, secrets);
    const templateChanged = JSON.stringify(template) !== JSON.stringify(this.template);

    this.tags = tags;
    this.configuration = mergePatch(this.configuration, configurationPatch);
    this.template = template;
    this.secrets.configure(secrets);
    return this.occupy(
      behaviour.durationMs,
      (at) => {
        if (behaviour.outcome === "succeeds") {
          this.secrets.take();
          this.#cycle(at);
        }
        if (templateChanged) {
          this.templateChanged(at, behaviour.outcome);
        }
        return behaviour.outcome === "succeeds" ? "succeeded" : "failed";
      },
      now,
    );
  }

  /** Keeps the resource busy, as an operation of somebody else does. `finish` runs when it ends. */
  occupy(
    durationMs: number,
    finish: (at: number) => "succeeded" | "failed" = () => "succeeded",
    now = this.settle(),
  ): Operation {
    const operation: Operation = { id: randomUUID(), status: "running" };
    this.#remember(operation);
    this.provisioningState = "InProgress";
    this.agenda.add(now + durationMs, (at) => {
      operation.status = finish(at);
      this.provisioningState = operation.status === "failed" ? "Failed" : "Succeeded";
    });
    this.agenda.pass(now);
    return operation;
  }

  /** What the kind of resource has to say about a template. */
  protected check(_template: Json, _secrets: readonly ArmSecret[]): void {}

  protected templateChanged(_at: number, _outcome: UpdateBehaviour["outcome"]): void {}

  protected secretsChangedInVault(_at: number): void {}

  #remember(operation: Operation): void {
    this.operations.set(operation.id, operation);
    const [oldest] = this.operations.keys();
    if (this.operations.size > mostOperations && oldest !== undefined) {
      this.operations.delete(oldest);
    }
  }

  /** The platform reads references without a version every 30 minutes; nothing makes it do so earlier. */
  #cycle(at: number): void {
    if (this.#cycling || !this.secrets.followsVault) {
      return;
    }
    this.#cycling = true;
    this.agenda.add(at + syncCycleMs, (then) => {
      this.#cycling = false;
      if (this.secrets.syncReferences()) {
        this.secretsChangedInVault(then);
      }
      this.#cycle(then);
    });
  }
}

/** RFC 7396. */
export function mergePatch(target: Json, patch: Json): Json {
  const merged: Record<string, unknown> = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    const inner = objectOf(value);
    if (value === null) {
      delete merged[name];
    } else {
      merged[name] = inner === undefined ? value : mergePatch(objectOf(merged[name]) ?? {}, inner);
    }
  }
  return merged;
}

export function objectOf(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function arrayOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw invalidRequestContent();
  }
  return value;
}

function checkTags(tags: Readonly<Record<string, unknown>>): void {
  const entries = Object.entries(tags);
  if (entries.length > 50) {
    throw tagsInvalid("A resource can have at most 50 tags.");
  }
  if (new Set(entries.map(([name]) => name.toLowerCase())).size < entries.length) {
    throw tagsInvalid("Tag names are not case-sensitive; one is given twice.");
  }
  for (const [name, value] of entries) {
    if (!/^[^<>%&\\?/\p{Cc}]{1,512}$/u.test(name)) {
      throw tagsInvalid("A tag name has 1 to 512 characters, none of them <, >, %, &, \\, ? or /.");
    }
    if (typeof value !== "string" || value.length > 256) {
      throw tagsInvalid("A tag value is a text of at most 256 characters.");
    }
  }
}
