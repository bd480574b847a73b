import assert from "node:assert/strict";
import type { Configuration } from "../../src/config/configuration.ts";
import { parseConfiguration } from "../../src/config/parse.ts";
import { someTroubles } from "../../src/simulation/chaos.ts";
import { Random } from "../../src/simulation/random.ts";
import { type Actor, Simulation, type SimulationOptions } from "../../src/simulation/simulation.ts";

const minutes = 60_000;
const hours = 60 * minutes;

export const vault = "https://kv-one.vault.azure.net";
const otherVault = "https://kv-two.vault.azure.net";
const group = "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/rg/providers/Microsoft.App";
export const app = (name: string) => `${group}/containerApps/${name}`;

const tokenEndpoint = (host: string) => `https://${host}/oauth2/token`;
const clientCredentials = (host: string) => ({
  kind: "oauth-client-credentials",
  tokenEndpoint: tokenEndpoint(host),
  clientId: "rotator",
  clientSecret: { secret: "client-secret" },
});
const refreshToken = (host: string) => ({
  kind: "oauth-refresh-token",
  tokenEndpoint: tokenEndpoint(host),
  clientId: "rotator",
  scopes: ["files", "offline_access"],
  refreshToken: { secret: `refresh-${host.split(".")[0]}` },
});
const entra = (name: string) => ({ kind: "entra", scope: `https://${name}.example.org/.default` });

/** Rotations of every kind; `flavour` varies what a change of the configuration would change. */
export const catalogue: Readonly<Record<string, (flavour: number) => object>> = {
  plain: () => ({ source: entra("shared"), outputs: [{ secret: "plain-token" }] }),
  adopting: (flavour) => ({
    source: entra("shared"),
    outputs: [{ secret: "adopted-token", adopt: true, format: "json", ...jsonOf(flavour) }],
    retire: { grace: "1h", keep: 2 },
  }),
  database: (flavour) => ({
    source: clientCredentials("plain.example.com"),
    outputs: [
      {
        secret: "database-uri",
        format: "postgres-uri",
        host: "db.example.org",
        database: `app${flavour}`,
        user: "app",
      },
    ],
    consumers: [{ kind: "container-app", app: app("mcp"), secret: "uri", output: "database-uri" }],
  }),
  pair: (flavour) => ({
    source: clientCredentials("plain.example.com"),
    outputs: [
      { secret: "pair-raw" },
      { secret: "pair-json", vault: otherVault, format: "json", ...jsonOf(flavour) },
    ],
    consumers: [
      { kind: "container-app", app: app("mcp"), secret: "raw", output: "pair-raw" },
      {
        kind: "container-app",
        app: app("web"),
        secret: "json",
        output: "pair-json",
        restart: "new-revision",
      },
      { kind: "container-app-job", job: `${group}/jobs/nightly`, secret: "raw", output: "pair-raw" },
    ],
  }),
  reference: () => ({
    source: entra("reference"),
    outputs: [{ secret: "referenced" }],
    consumers: [
      {
        kind: "container-app",
        app: app("ref"),
        secret: "referenced",
        output: "referenced",
        mode: "key-vault-reference",
        identity: "system",
      },
    ],
  }),
  "one-time": () => ({ source: refreshToken("strict.example.com"), outputs: [{ secret: "one-time-token" }] }),
  replaced: (flavour) => ({
    source: refreshToken("lenient.example.com"),
    outputs: [{ secret: "replaced-token" }, { secret: "replaced-json", format: "json", ...jsonOf(flavour) }],
  }),
  fallback: () => ({
    source: [refreshToken("both.example.com"), clientCredentials("both.example.com")],
    outputs: [{ secret: "fallback-token" }],
    margin: "30m",
  }),
  lakebase: () => ({
    source: {
      kind: "lakebase",
      host: "https://bricks.example.com",
      authorization: {
        kind: "databricks-oauth",
        host: "https://bricks.example.com",
        clientId: "service-principal",
        clientSecret: { secret: "client-secret" },
      },
      instances: ["orders"],
    },
    outputs: [{ secret: "lakebase-pgpass", format: "pgpass", host: "instance.example.org", user: "sp" }],
  }),
};

function jsonOf(flavour: number): object {
  return { fields: { token: "token", flavour: { value: flavour } } };
}

export function configurationOf(names: readonly string[], flavour: number, tick: string): Configuration {
  const rotations = Object.fromEntries(names.map((name) => [name, catalogue[name]?.(flavour)]));
  const configuration = parseConfiguration(JSON.stringify({ vault, tick, rotations }), {
    file: "rotations.json",
    environment: {},
  });
  assert.deepEqual(configuration.problems, []);
  return configuration;
}

/** What an operator would have put into the vault, and the providers that the rotations ask. */
export const furnished: Actor = async ({ world }) => {
  world.vault(vault).write("client-secret", "the client's secret", {});
  for (const [host, refreshTokens] of [
    ["plain.example.com", "kept"],
    ["strict.example.com", "oneTime"],
    ["lenient.example.com", "replaced"],
    ["both.example.com", "oneTime"],
    ["bricks.example.com", "kept"],
  ] as const) {
    const provider = world.provider(host, { lifetimeMs: 62 * minutes, refreshTokens });
    if (refreshTokens !== "kept") {
      world.vault(vault).write(`refresh-${host.split(".")[0]}`, provider.signIn(), {});
    }
  }
};

/** Now and then the configuration changes, and with it how some outputs are laid out; some of the time one rotation less. */
function changing(names: readonly string[], tick: string): Actor {
  return async (simulation) => {
    const random = simulation.random.fork("configuration");
    for (;;) {
      await simulation.world.clock.sleep(random.integer(1, 12) * hours);
      const kept = names.length > 1 && random.chance(0.3) ? names.slice(1) : names;
      simulation.configure(configurationOf(kept, random.integer(0, 2), tick));
      simulation.faults.count("configuration changed");
    }
  };
}

/** The first rule that was broken, and the command that shows it again; in one line. */
export function replayLine({ seed, observer }: Simulation, virtualHours: number): string {
  const [first] = observer.violations;
  const what =
    first && `${first.invariant}: ${first.where} ${first.what} (${new Date(first.at).toISOString()})`;
  return `npm run simulate:nightly -- --seed ${seed} --hours ${virtualHours}  # ${what}`;
}

/** A run in which everything follows from the seed: the configuration, and what goes wrong. */
export function chaos(seed: number, virtualHours: number, more: Partial<SimulationOptions> = {}): Simulation {
  const random = new Random(`scenario ${seed}`);
  const names = Object.keys(catalogue).filter(() => random.chance(0.35));
  const chosen = names.length === 0 ? ["plain"] : names;
  const tick = random.pick(["5m", "5m", "2m"]);
  const often = (share: number) => (random.chance(0.5) ? share * random.next() : 0);
  const timer = { lost: often(0.3), late: often(0.3), killed: often(0.2), recycled: often(0.3) };
  const troubles = someTroubles(random);
  return new Simulation({
    configuration: configurationOf(chosen, 0, tick),
    seed,
    durationMs: virtualHours * hours,
    sources: "real",
    noise: often(0.05),
    timer,
    clockSkewMs: random.chance(0.3) ? 5 * minutes : 0,
    replicas: random.integer(1, 2),
    ...more,
    actors: [
      furnished,
      ...troubles,
      ...(random.chance(0.3) ? [changing(chosen, tick)] : []),
      ...(more.actors ?? []),
    ],
  });
}
