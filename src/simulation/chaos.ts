import type { ReadyRotation } from "../config/configuration.ts";
import { tagNames } from "../core/tags.ts";
import { EmbeddedContainerApp } from "../local/embeddedContainerApp.ts";
import type { AppModel } from "./appModel.ts";
import type { Failure, Outage } from "./faults.ts";
import { identityTarget } from "./identityModel.ts";
import { Obstacles } from "./obstacles.ts";
import type { Random } from "./random.ts";
import type { Actor, Simulation } from "./simulation.ts";
import type { VaultModel } from "./vaultModel.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Something that happens every so often, at moments that the seed decides. */
function everySoOften(
  name: string,
  meanMs: number,
  happen: (simulation: Simulation, random: Random) => unknown,
): Actor {
  return async (simulation) => {
    const { clock } = simulation.world;
    const random = simulation.random.fork(name);
    for (;;) {
      // Exponential: the moments know nothing of each other.
      await clock.sleep(-Math.log(1 - random.next()) * meanMs);
      if ((await happen(simulation, random)) !== false) {
        simulation.faults.count(name);
      }
    }
  };
}

/** From a minute to three hours; short ones as often as long ones. */
function someTime(random: Random, mostMs = 3 * hourMs): number {
  return minuteMs * (mostMs / minuteMs) ** random.next();
}

/** Services that refuse, throttle, hang, cannot be reached or lose their answers, all of their calls or many. */
const outages = everySoOften("outage", 4 * hourMs, ({ world, faults, configuration }, random) => {
  const from = world.clock.now();
  const ready = configuration.rotations.filter((rotation) => rotation.state === "ready");
  const vaults = [...new Set(ready.flatMap(({ outputs }) => outputs.map(({ vault }) => vault)))];
  const places: [Pick<Outage, "what" | "target">, ...Pick<Outage, "what" | "target">[]] = [
    { what: "identity" },
    { what: "vault" },
    { what: "provider" },
    { what: "apps" },
    { what: "leases" },
    ...vaults.map((target) => ({ what: "vault", target }) as const),
  ];
  const how = random.pick<Failure>(["refuses", "throttles", "unreachable", "hangs", "losesAnswers"]);
  const share = random.pick([1, 1, 0.9, 0.5]);
  faults.begin({ ...random.pick(places), how, share, from, to: from + someTime(random) });
});

/** The timer falls silent, as a scale controller that has lost its way. */
const silentTimer = everySoOften("silent timer", 12 * hourMs, ({ world, faults }, random) => {
  const from = world.clock.now();
  faults.begin({ what: "timer", from, to: from + someTime(random, 6 * hourMs) });
});

/** The platform's cache of managed identity tokens does not let go of what it has. */
const stuckCache = everySoOften("stuck cache", 8 * hourMs, ({ world, faults }, random) => {
  const from = world.clock.now();
  faults.begin({ what: "identity", target: identityTarget, from, to: from + someTime(random, 6 * hourMs) });
});

/** Tokens of managed identities that live now for a day, now for little more than an hour. */
const shrinkingLifetimes: Actor = async ({ world, random }) => {
  const own = random.fork("lifetimes");
  world.identity.policy = () => ({
    lifetimeMs: own.pick([24 * hourMs, 8 * hourMs, 3 * hourMs, 90 * minuteMs, 61 * minuteMs]),
    keptShare: 0.3 + 0.3 * own.next(),
  });
};

/** Somebody else who keeps a secret in the same app. */
const otherWriter = everySoOften("other writer", 2 * hourMs, async ({ world }, random) => {
  const [first, ...others] = world.apps;
  if (first === undefined) {
    return false;
  }
  await random
    .pick([first, ...others])
    .changeByOther(`theirs ${random.integer(0, 1e9)}`, random.integer(0, 3_000));
  return true;
});

/** Apps whose replicas crash, whose restarts lead to nothing, whose updates fail. */
const brokenApp = everySoOften("broken app", 8 * hourMs, async ({ world, faults }, random) => {
  const app = someApp(world.apps, random);
  if (app === undefined) {
    return false;
  }
  const { resource } = app;
  const from = world.clock.now();
  const lastsMs = someTime(random);
  // What was broken shows until it is restarted once more, which the rotator does after its patience.
  faults.begin({ what: "apps", target: app.id, from, to: from + lastsMs + 25 * minuteMs });
  const { replicaBehaviour, updates } = resource;
  if (random.chance(0.3)) {
    resource.updates = { ...updates, outcome: "fails" };
  } else {
    resource.replicaBehaviour = { ...replicaBehaviour, outcome: random.pick(["crashes", "hangs"]) };
  }
  await world.clock.sleep(lastsMs);
  resource.updates = updates;
  resource.replicaBehaviour = replicaBehaviour;
  resource.settle();
  for (const revision of resource.revisions) {
    revision.replicas = revision.replicas.filter(({ ready }) => ready);
  }
  return true;
});

/** Apps that are scaled, down to nothing too. */
const scaling = everySoOften("app scaled", 3 * hourMs, (simulation, random) => {
  const app = someApp(simulation.world.apps, random);
  if (app === undefined) {
    return false;
  }
  app.scale(random.integer(0, 3));
  const now = simulation.world.clock.now();
  simulation.faults.begin({ what: "apps", target: app.id, from: now, to: now + 1 });
  simulation.observer.readers.look(app);
  return true;
});

/** Apps that take their time. */
const slowApps: Actor = async ({ world, random }) => {
  const own = random.fork("slow apps");
  for (const { resource } of world.apps) {
    resource.updates = {
      ...resource.updates,
      durationMs: own.pick([0, 1_000, 10_000, 30_000]),
      tags: own.pick(["merge", "replace"]),
    };
    if (resource instanceof EmbeddedContainerApp) {
      const readyMs = own.pick([1_000, 20_000, 70_000]);
      resource.replicaBehaviour = { readyMs, drainMs: own.pick([500, 20_000]), outcome: "ready" };
    }
  }
};

/** Somebody disables the current version of an output. */
const disabled = everySoOften("version disabled", 6 * hourMs, (simulation, random) => {
  const output = someOutput(simulation, random);
  if (output?.vault.current(output.secret) === undefined) {
    return false;
  }
  const now = simulation.world.clock.now();
  simulation.faults.begin({ what: "operator", target: output.rotation.name, from: now, to: now + 1 });
  output.vault.update(output.secret, { enabled: false });
  return true;
});

/** Somebody deletes an output, and brings it back or purges it when they are told. */
const deleted = everySoOften("secret deleted", 8 * hourMs, async (simulation, random) => {
  const output = someOutput(simulation, random);
  if (output?.vault.current(output.secret) === undefined) {
    return false;
  }
  const { vault, secret, rotation } = output;
  return await simulation.disturb(rotation.name, someTime(random), () => {
    vault.delete(secret);
    return () => (random.chance(0.5) ? vault.recover(secret) : vault.purge(secret));
  });
});

/** Somebody overwrites an output by hand, and takes it away again when they are told. */
const overwritten = everySoOften("secret overwritten", 8 * hourMs, async (simulation, random) => {
  const output = someOutput(simulation, random);
  if (output?.vault.current(output.secret) === undefined) {
    return false;
  }
  const { vault, secret, rotation, adopt } = output;
  if (adopt) {
    vault.write(secret, "set by hand", {});
    return true;
  }
  return await simulation.disturb(rotation.name, someTime(random), () => {
    vault.write(secret, "set by hand", {});
    return () => {
      vault.delete(secret);
      vault.purge(secret);
    };
  });
});

/** Somebody pauses a rotation for a while, as `token-rotator pause` does. */
const paused = everySoOften("rotation paused", 10 * hourMs, async (simulation, random) => {
  const output = someOutput(simulation, random);
  if (output === undefined) {
    return false;
  }
  const { rotation } = output;
  const { world } = simulation;
  const lastsMs = someTime(random, hourMs);
  const until = new Date(world.clock.now() + lastsMs).toISOString();
  return await simulation.disturb(rotation.name, lastsMs, () => {
    for (const { vault, secret } of rotation.outputs) {
      const tags = world.vault(vault).current(secret)?.tags;
      if (tags?.[tagNames.managedBy] !== undefined) {
        world.vault(vault).update(secret, { tags: { ...tags, [tagNames.pausedUntil]: until } });
      }
    }
    return () => {};
  });
});

/**
 * Somebody runs `rotate` on a laptop, signed in as themselves. Not where a secret is missing: the first version decides
 * whose the rotation is.
 */
const byHand = everySoOften("run by hand", 8 * hourMs, async (simulation) => {
  const { world, configuration } = simulation;
  const complete = configuration.rotations.every(({ outputs }) =>
    outputs.every(
      ({ vault, secret }) => world.vault(vault).current(secret)?.tags?.[tagNames.managedBy] !== undefined,
    ),
  );
  if (complete) {
    await simulation.rotateByHand("somebody with a laptop");
  }
  return complete;
});

/** Whoever is told that a sign-in is needed gets round to it after a while. */
const signIns = everySoOften("sign-in", hourMs, ({ world, configuration }) => {
  const obstacles = new Obstacles(world);
  let signedIn = false;
  for (const rotation of configuration.rotations) {
    for (const kept of rotation.state === "ready" ? obstacles.refreshTokens(rotation) : []) {
      if (!kept.accepted) {
        world.vault(kept.reference.vault).write(kept.reference.secret, kept.provider.signIn(), {});
        signedIn = true;
      }
    }
  }
  return signedIn;
});

/** Somebody else uses the refresh token that a rotation keeps. */
const stolen = everySoOften("refresh token used elsewhere", 24 * hourMs, ({ world, configuration }) => {
  const obstacles = new Obstacles(world);
  const kept = configuration.rotations
    .flatMap((rotation) => (rotation.state === "ready" ? obstacles.refreshTokens(rotation) : []))
    .find(({ accepted }) => accepted);
  if (kept === undefined) {
    return false;
  }
  kept.provider.spendElsewhere(
    world.vault(kept.reference.vault).current(kept.reference.secret)?.value.reveal() ?? "",
  );
  return true;
});

/** Everything that can go wrong beside the timer, by name. */
export const troubles: Readonly<Record<string, Actor>> = {
  outages,
  silentTimer,
  stuckCache,
  shrinkingLifetimes,
  otherWriter,
  brokenApp,
  scaling,
  slowApps,
  disabled,
  deleted,
  overwritten,
  paused,
  byHand,
  stolen,
};

/** Some of the troubles, as the seed decides: a run in which a few things go wrong often finds more than one with all. */
export function someTroubles(random: Random): Actor[] {
  return [signIns, ...Object.values(troubles).filter(() => random.chance(0.4))];
}

type Container = AppModel & { readonly resource: EmbeddedContainerApp };

function someApp(apps: readonly AppModel[], random: Random): Container | undefined {
  const [first, ...others] = apps.filter(
    (app): app is Container => app.resource instanceof EmbeddedContainerApp,
  );
  return first === undefined ? undefined : random.pick([first, ...others]);
}

interface SomeOutput {
  readonly rotation: ReadyRotation;
  readonly vault: VaultModel;
  readonly secret: string;
  readonly adopt: boolean;
}

function someOutput({ world, configuration }: Simulation, random: Random): SomeOutput | undefined {
  const [first, ...others] = configuration.rotations.flatMap((rotation) =>
    rotation.state === "ready" ? rotation.outputs.map((output) => ({ rotation, output })) : [],
  );
  if (first === undefined) {
    return undefined;
  }
  const { rotation, output } = random.pick([first, ...others]);
  return { rotation, vault: world.vault(output.vault), secret: output.secret, adopt: output.adopt };
}
