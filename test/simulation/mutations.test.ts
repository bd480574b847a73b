import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SecretProperties, SecretState, SecretStore } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { troubles } from "../../src/simulation/chaos.ts";
import { type InvariantName, invariants } from "../../src/simulation/invariants.ts";
import type { Replacements } from "../../src/simulation/join.ts";
import { type Actor, Simulation } from "../../src/simulation/simulation.ts";
import { configurationOf, furnished } from "./scenario.ts";

const minutes = 60_000;
const hours = 60 * minutes;

/** One part that is broken on purpose, in a world in which it shows. */
interface Mutation {
  readonly rotations: readonly string[];
  readonly actors?: readonly Actor[];
  readonly hours?: number;
  readonly broken: Replacements;
}

/** The store with some of its methods replaced; the others go on as they are. */
function storeWith(change: (store: SecretStore) => Partial<SecretStore>): Replacements {
  return {
    store: (store) => ({
      vault: store.vault,
      inspect: (...call) => store.inspect(...call),
      read: (...call) => store.read(...call),
      write: (...call) => store.write(...call),
      replaceTags: (...call) => store.replaceTags(...call),
      listVersions: (...call) => store.listVersions(...call),
      disable: (...call) => store.disable(...call),
      ...change(store),
    }),
  };
}

/** A store whose listing shows other properties than the vault has. */
function seeing(change: (properties: SecretProperties) => SecretProperties): Replacements {
  return storeWith((store) => ({
    inspect: async (...call) =>
      new Map(
        [...(await store.inspect(...call))].map(([name, state]): [string, SecretState] => [
          name,
          state.kind === "present" ? { ...state, properties: change(state.properties) } : state,
        ]),
      ),
  }));
}

const vaultDown: Actor = async ({ world, faults }) => {
  await world.clock.sleep(50 * minutes);
  const from = world.clock.now();
  faults.begin({ what: "vault", how: "refuses", from, to: from + 20 * minutes });
};

const shorterTokens: Actor = async ({ world }) => {
  await world.clock.sleep(12 * minutes);
  world.provider("plain.example.com").policy = { lifetimeMs: 30 * minutes, refreshTokens: "kept" };
};

/** One of a rotation's two outputs is deleted for hours. */
const siblingDeleted: Actor = async (simulation) => {
  await simulation.world.clock.sleep(50 * minutes);
  const vault = simulation.world.vault("https://kv-two.vault.azure.net");
  await simulation.disturb("pair", 2 * hours, () => {
    vault.delete("pair-json");
    return () => vault.recover("pair-json");
  });
};

const mutations: Readonly<Record<InvariantName, Mutation>> = {
  noExpiredTokenServed: {
    rotations: ["database"],
    broken: { rotation: (rotation) => ({ ...rotation, timing: { floorMs: 0, marginMs: minutes } }) },
  },
  neverOlder: {
    rotations: ["lakebase", "database"],
    actors: [shorterTokens],
    broken: seeing((properties) => ({ ...properties, expiresOn: new Date(0) })),
  },
  neverAnotherSubject: {
    rotations: ["plain"],
    hours: 24,
    actors: [troubles.byHand as Actor],
    broken: {
      rotation: ({ checks, ...rotation }) => ({
        ...rotation,
        checks: { ...checks, subjectOf: () => "nobody looks" },
      }),
    },
  },
  neverSomebodyElses: {
    rotations: ["plain"],
    hours: 24,
    actors: [troubles.overwritten as Actor],
    broken: {
      rotation: (rotation) => ({
        ...rotation,
        outputs: rotation.outputs.map((output) => ({ ...output, adopt: true })),
      }),
    },
  },
  pausedIsLeftAlone: {
    rotations: ["database"],
    hours: 48,
    actors: [troubles.paused as Actor],
    broken: seeing(({ tags: { "paused-until": _, ...tags }, ...properties }) => ({ ...properties, tags })),
  },
  noRedundantVersion: {
    rotations: ["database"],
    broken: { rotation: (rotation) => ({ ...rotation, timing: { floorMs: 0, marginMs: 50 * minutes } }) },
  },
  refreshTokenStoredFirst: {
    rotations: ["replaced"],
    broken: storeWith((store) => ({
      // As if it were stored.
      write: async (name, version, context) =>
        name.startsWith("refresh-")
          ? { name, enabled: true, tags: version.tags }
          : await store.write(name, version, context),
    })),
  },
  oneEventPerRotation: {
    rotations: ["plain"],
    broken: {
      telemetry: (telemetry) => ({
        ...telemetry,
        event: (event, operation) => {
          telemetry.event(event, operation);
          telemetry.event(event, operation);
        },
      }),
    },
  },
  failureReported: {
    rotations: ["database"],
    actors: [
      async (simulation) => {
        await simulation.world.clock.sleep(20 * minutes);
        const vault = simulation.world.vault("https://kv-one.vault.azure.net");
        await simulation.disturb("database", hours, () => {
          vault.delete("database-uri");
          return () => vault.recover("database-uri");
        });
      },
    ],
    broken: {
      telemetry: (telemetry) => ({
        ...telemetry,
        event: (event, operation) =>
          telemetry.event(
            event.name === "RotationFailed"
              ? { name: "RotationUnchanged", properties: { ...event.properties, outcome: "Fresh" } }
              : event,
            operation,
          ),
      }),
    },
  },
  recoveredAtOnce: {
    rotations: ["database"],
    actors: [vaultDown],
    broken: storeWith((store) => {
      let failed: ReadonlyMap<string, SecretState> | undefined;
      return {
        // A failure that is remembered for ever.
        inspect: async (...call) => {
          const states = failed ?? (await store.inspect(...call));
          failed = [...states.values()].some(({ kind }) => kind === "unknown") ? states : undefined;
          return states;
        },
      };
    }),
  },
  noVersionInVain: {
    rotations: ["pair"],
    actors: [siblingDeleted],
    broken: storeWith((store) => ({
      // A failure that is kept from whoever writes.
      write: (name, version, context) =>
        store.write(name, version, context).catch(() => ({ name, enabled: true, tags: version.tags })),
    })),
  },
  noRefreshTokenLost: {
    rotations: ["one-time"],
    broken: storeWith((store) => ({
      write: async (name, version, context) =>
        name.startsWith("refresh-")
          ? { name, enabled: true, tags: version.tags }
          : await store.write(name, version, context),
    })),
  },
  othersSecretsKept: {
    rotations: ["database"],
    broken: {
      holder: (holder) => ({
        ...holder,
        update: (state, change, context) =>
          holder.update(
            state,
            {
              ...change,
              ...(change.secrets === undefined
                ? {}
                : {
                    secrets: change.secrets.map((secret) =>
                      secret.name === "uri" ? secret : { ...secret, value: new SecretValue("lost") },
                    ),
                  }),
            },
            context,
          ),
      }),
    },
  },
  appNeverOlder: {
    rotations: ["database"],
    broken: {
      holder: (holder) => {
        const sent: NonNullable<Parameters<typeof holder.update>[1]["secrets"]>[] = [];
        return {
          ...holder,
          // The third update brings back what the first one brought.
          update: (state, change, context) => {
            if (change.secrets === undefined) {
              return holder.update(state, change, context);
            }
            sent.push(change.secrets);
            const secrets = sent.length === 3 ? (sent[0] ?? []) : change.secrets;
            return holder.update(state, { ...change, secrets }, context);
          },
        };
      },
    },
  },
  oneRestartPerChange: {
    rotations: ["database"],
    broken: {
      holder: (holder) => ({
        ...holder,
        // No replica is ever young enough.
        listReplicas: async (...call) =>
          (await holder.listReplicas(...call)).map((replica) => ({ ...replica, createdAt: 0 })),
      }),
    },
  },
  refreshTokenSpentOnce: {
    rotations: ["one-time"],
    broken: storeWith((store) => {
      const first = new Map<string, ReturnType<SecretStore["read"]>>();
      return {
        // A read that never sees what was written since.
        read: (name, context, version) => {
          const known = first.get(name) ?? store.read(name, context, version);
          first.set(name, known);
          return known;
        },
      };
    }),
  },
  callsBounded: {
    rotations: ["plain"],
    hours: 1,
    broken: storeWith((store) => ({
      inspect: async (...call) => {
        for (let again = 0; again < 300; again += 1) {
          await store.inspect(...call);
        }
        return await store.inspect(...call);
      },
    })),
  },
};

async function violationsOf({ rotations, actors = [], ...mutation }: Mutation, replacements: Replacements) {
  const simulation = new Simulation({
    configuration: configurationOf(rotations, 0, "5m"),
    seed: "mutations",
    durationMs: (mutation.hours ?? 4) * hours,
    sources: "real",
    actors: [furnished, ...actors],
    replacements,
  });
  await simulation.run();
  return simulation.observer.violations;
}

describe("every invariant holds, and fails where a part is broken so that it must:", () => {
  const names = Object.values(invariants).flatMap((table) => Object.keys(table)) as InvariantName[];
  for (const name of names) {
    test(name, async () => {
      assert.deepEqual(await violationsOf(mutations[name], {}), []);
      const found = await violationsOf(mutations[name], mutations[name].broken);
      assert.ok(
        found.some(({ invariant }) => invariant === name),
        `found only ${[...new Set(found.map(({ invariant }) => invariant))].join(", ") || "nothing"}`,
      );
    });
  }
});
