import { readerName } from "../config/budget.ts";
import type { OutputConfiguration, ReadyRotation } from "../config/configuration.ts";
import { issuedOn, manager, tagNames } from "../core/tags.ts";
import type { VaultVersion } from "../local/vaultSecrets.ts";
import type { AppModel } from "./appModel.ts";
import type { VaultModel } from "./vaultModel.ts";
import type { World } from "./world.ts";

/** A token as somebody holds it. Times in milliseconds since the epoch. */
export interface Held {
  readonly version: string;
  /** The truth. */
  readonly expiresAt: number;
  /** What the vault says, which decided when it was renewed. */
  readonly recordedExpiry: number;
  readonly recordedIssue: number;
}

/** A reader has let go of a token, for a newer one or because the run is over. */
export interface Serving {
  readonly reader: Reader;
  readonly held: Held;
  readonly at: number;
}

/** Whoever works with the tokens of one output, with what they came to see. */
export interface Reader {
  /** As the configuration has it now. */
  rotation: ReadyRotation;
  readonly output: OutputConfiguration;
  /** In words: `readers of the vault`, `consumers[0]`. */
  readonly name: string;
  /** From the vault's new version to the reader holding it, at worst. Milliseconds. */
  readonly propagationMs: number;
  /** The app that it runs in; absent for those who read the vault themselves. */
  readonly app?: { readonly model: AppModel; readonly secret: string };
  /** The shortest time that any of its tokens had left when it was replaced; negative where it had expired. */
  worstMs: number;
  /** For how long it held an expired token, in all. */
  expiredMs: number;
}

/** The token of a version that a rotation wrote; `undefined` for a version of somebody else's. */
export function heldIn(world: World, version: VaultVersion, rotation: string): Held | undefined {
  const { tags, expires } = version;
  if (
    expires === undefined ||
    tags?.[tagNames.managedBy] !== manager ||
    tags[tagNames.rotation] !== rotation
  ) {
    return undefined;
  }
  const known = heldInVersion.get(version);
  if (known !== undefined) {
    return known;
  }
  const recordedExpiry = expires * 1000;
  const held = {
    version: version.id,
    recordedExpiry,
    recordedIssue: issuedOn({ name: "", enabled: true, tags }) ?? version.created * 1000,
    expiresAt: world.tokens.find(tags[tagNames.token])?.expiresAt ?? recordedExpiry,
  };
  heldInVersion.set(version, held);
  return held;
}

/** Every tick looks at every version again. */
const heldInVersion = new WeakMap<VaultVersion, Held>();

interface VaultReader {
  readonly reader: Reader;
  readonly phaseMs: number;
  held: Held | undefined;
  polling: boolean;
}

interface AppReader {
  readonly reader: Reader;
  /** What was in use when it was last looked at. */
  values: readonly string[];
  held: ReadonlyMap<string, Held>;
}

/** Values of outputs that feed apps are recognised for so many versions, at least. */
const knownValues = 2_000;

/** Everybody who reads: those who look into the vault every so often, and what runs in the apps. */
export class Readers {
  readonly #world: World;
  readonly #served: (serving: Serving) => void;
  readonly #ofVault = new Map<string, VaultReader[]>();
  readonly #ofApp = new Map<AppModel, AppReader[]>();
  readonly #byKey = new Map<string, Reader>();
  #tokenOfValue: Map<string, Held> = new Map();
  /** Those before them. */
  #tokenOfOlderValue: ReadonlyMap<string, Held> = new Map();

  constructor(world: World, served: (serving: Serving) => void) {
    this.#world = world;
    this.#served = served;
  }

  get all(): readonly Reader[] {
    return [...this.#byKey.values()];
  }

  /** Takes up whoever the rotations have; those who are known already go on with what they hold. */
  follow(rotations: readonly ReadyRotation[]): void {
    for (const rotation of rotations) {
      for (const path of rotation.budget.paths) {
        const output = rotation.outputs[path.output];
        if (output !== undefined) {
          this.#follow(rotation, output, path.reader, path.propagationMs);
        }
      }
    }
  }

  #follow(
    rotation: ReadyRotation,
    output: OutputConfiguration,
    path: readonly (string | number)[],
    propagationMs: number,
  ): void {
    const name = readerName(path);
    const key = `${rotation.name} ${output.vault} ${output.secret} ${name}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.rotation = rotation;
      return;
    }
    const consumer = path[0] === "consumers" ? rotation.consumers[Number(path[1])] : undefined;
    const model = this.#world.findApp(String(consumer?.app ?? consumer?.job ?? ""));
    const reader: Reader = {
      rotation,
      output,
      name,
      propagationMs,
      ...(consumer === undefined || model === undefined ? {} : { app: { model, secret: consumer.secret } }),
      worstMs: Number.POSITIVE_INFINITY,
      expiredMs: 0,
    };
    this.#byKey.set(key, reader);
    if (reader.app === undefined) {
      const phaseMs = this.#world.random.fork(key).next() * propagationMs;
      const others = this.#ofVault.get(keyOf(output.vault, output.secret)) ?? [];
      others.push({ reader, phaseMs, held: undefined, polling: false });
      this.#ofVault.set(keyOf(output.vault, output.secret), others);
    } else {
      const others = this.#ofApp.get(reader.app.model) ?? [];
      others.push({ reader, values: [], held: new Map() });
      this.#ofApp.set(reader.app.model, others);
    }
  }

  /** Whoever reads that secret sees it when they look next: they look every `propagationMs`. */
  secretChanged(vault: VaultModel, name: string): void {
    const { clock } = this.#world;
    for (const reader of this.#ofVault.get(keyOf(vault.url, name)) ?? []) {
      if (reader.polling) {
        continue;
      }
      reader.polling = true;
      const { propagationMs } = reader.reader;
      const sincePoll = (clock.now() + reader.phaseMs) % propagationMs;
      void clock.sleep(propagationMs - sincePoll).then(() => {
        reader.polling = false;
        this.#look(reader, vault, name);
      });
    }
  }

  /** A version that apps may come to hold. */
  versionWritten(version: VaultVersion, rotation: string): void {
    const held = heldIn(this.#world, version, rotation);
    if (held === undefined || this.#ofApp.size === 0) {
      return;
    }
    this.#tokenOfValue.set(version.value.reveal(), held);
    if (this.#tokenOfValue.size >= knownValues) {
      this.#tokenOfOlderValue = this.#tokenOfValue;
      this.#tokenOfValue = new Map();
    }
  }

  /** The token of a value that was in the vault. */
  tokenOf(value: string | undefined): Held | undefined {
    return value === undefined
      ? undefined
      : (this.#tokenOfValue.get(value) ?? this.#tokenOfOlderValue.get(value));
  }

  /** Notes what runs in the app now. */
  look(app: AppModel): void {
    for (const reader of this.#ofApp.get(app) ?? []) {
      const { secret } = reader.reader.app ?? { secret: "" };
      const values = app.valuesInUse(secret);
      if (
        values.length === reader.values.length &&
        values.every((value, at) => value === reader.values[at])
      ) {
        continue;
      }
      reader.values = values;
      const held = new Map<string, Held>();
      for (const value of values) {
        const token = this.tokenOf(value);
        if (token !== undefined) {
          held.set(token.version, token);
        }
      }
      for (const [version, token] of reader.held) {
        if (!held.has(version)) {
          this.#letGo(reader.reader, token);
        }
      }
      reader.held = held;
    }
  }

  /** The run is over: what is held until now counts. */
  end(): void {
    for (const { reader, held } of [...this.#ofVault.values()].flat()) {
      if (held !== undefined) {
        this.#letGo(reader, held);
      }
    }
    for (const [app, readers] of this.#ofApp) {
      this.look(app);
      for (const { reader, held } of readers) {
        for (const token of held.values()) {
          this.#letGo(reader, token);
        }
      }
    }
  }

  /** What is missing, disabled or deleted leaves the reader with what it has. */
  #look(reader: VaultReader, vault: VaultModel, name: string): void {
    const current = vault.current(name);
    if (current === undefined || !current.enabled || current.id === reader.held?.version) {
      return;
    }
    if (reader.held !== undefined) {
      this.#letGo(reader.reader, reader.held);
    }
    reader.held = heldIn(this.#world, current, reader.reader.rotation.name);
  }

  #letGo(reader: Reader, held: Held): void {
    const at = this.#world.clock.now();
    reader.worstMs = Math.min(reader.worstMs, held.expiresAt - at);
    reader.expiredMs += Math.max(0, at - held.expiresAt);
    this.#served({ reader, held, at });
  }
}

function keyOf(vault: string, name: string): string {
  return `${vault}/secrets/${name}`.toLowerCase();
}
