import type { OutputConfiguration, ReadyRotation } from "../config/configuration.ts";
import { belongsTo, pausedUntil, tagNames } from "../core/tags.ts";
import type { VaultVersion } from "../local/vaultSecrets.ts";
import { earliestDue, latestDue } from "./dueTimes.ts";
import type { OutputState, VersionFacts } from "./invariants.ts";
import type { Obstacles } from "./obstacles.ts";
import { heldIn } from "./readers.ts";
import type { World } from "./world.ts";

/** The truth about outputs and their versions, read off the models. Times in milliseconds since the epoch. */
export class OutputFacts {
  readonly #world: World;
  readonly #obstacles: Obstacles;

  constructor(world: World, obstacles: Obstacles) {
    this.#world = world;
    this.#obstacles = obstacles;
  }

  currentOf({ vault, secret }: OutputConfiguration): VaultVersion | undefined {
    return this.#world.vault(vault).current(secret);
  }

  /** When a person last did something to the secret. */
  touchedAt({ vault, secret }: OutputConfiguration): number {
    return this.#world.vault(vault).touchedAt(secret);
  }

  /** Fingerprint of the token that the output holds, by its tag. */
  tokenOf(output: OutputConfiguration): string | undefined {
    return this.currentOf(output)?.tags?.[tagNames.token];
  }

  /** Whether all outputs of the rotation hold one token. */
  agree({ outputs }: ReadyRotation): boolean {
    const [first, ...others] = outputs;
    if (first === undefined || others.length === 0) {
      return true;
    }
    const token = this.tokenOf(first);
    return others.every((output) => this.tokenOf(output) === token);
  }

  /** Whether the output has a reason of its own to be written. `skewMs`: how far off the clock is that shows `now`. */
  needs(rotation: ReadyRotation, output: OutputConfiguration, now: number, skewMs: number): boolean {
    const current = this.currentOf(output);
    const held = current && heldIn(this.#world, current, rotation.name);
    return (
      held === undefined ||
      !current?.enabled ||
      current.tags?.[tagNames.spec] !== output.spec ||
      now >= earliestDue(held, rotation) - Math.abs(skewMs) ||
      !this.agree(rotation)
    );
  }

  /** How the output stands when a tick ends. `tickStartedAt` and `now` by the clock of the instance. */
  stateOf(
    rotation: ReadyRotation,
    output: OutputConfiguration,
    tickStartedAt: number,
    now: number,
  ): OutputState {
    const as = (state: OutputState["state"], latest = false) => ({ output: output.secret, state, latest });
    const current = this.currentOf(output);
    if (current === undefined) {
      return as("missing");
    }
    const held = heldIn(this.#world, current, rotation.name);
    if (held === undefined) {
      return as("foreign");
    }
    if (!current.enabled) {
      return as("disabled");
    }
    if (held.recordedExpiry <= now) {
      return as("expired");
    }
    if (current.tags?.[tagNames.spec] !== output.spec) {
      return as("outdated");
    }
    if (latestDue(held, rotation) > tickStartedAt) {
      return as("good");
    }
    const isEndangered = held.recordedExpiry - rotation.floorMs <= tickStartedAt;
    return as(isEndangered ? "endangered" : "overdue", this.#obstacles.isLatest(rotation, current));
  }

  versionFacts({ tags = {}, enabled, expires = 0 }: VaultVersion, rotation: string): VersionFacts {
    const token = this.#world.tokens.find(tags[tagNames.token]);
    return {
      ours: belongsTo({ name: "", enabled, tags }, rotation),
      enabled,
      spec: tags[tagNames.spec],
      token: tags[tagNames.token],
      content: tags[tagNames.content],
      operation: tags.operation,
      expiresAt: token?.expiresAt ?? expires * 1000,
      subject: token?.subject,
    };
  }

  /** By the configuration, or by a tag of a version that the rotation wrote. */
  isPaused(rotation: ReadyRotation, now: number): boolean {
    if (rotation.paused !== undefined && now < (rotation.paused.until ?? Number.POSITIVE_INFINITY)) {
      return true;
    }
    return rotation.outputs.some((output) => {
      const current = this.currentOf(output);
      return (
        current !== undefined &&
        isPausedBy(current.tags, now) &&
        heldIn(this.#world, current, rotation.name) !== undefined
      );
    });
  }
}

export function isPausedBy(tags: Readonly<Record<string, string>> = {}, now: number): boolean {
  if (!tags[tagNames.pausedUntil]) {
    return false;
  }
  const until = pausedUntil({ name: "", enabled: true, tags });
  return until !== undefined && now < until;
}
