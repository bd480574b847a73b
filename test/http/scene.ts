import type { InvocationContext } from "@azure/functions";
import azureFunctions from "@azure/functions";
import { Runner } from "../../src/app/runner.ts";
import type { Configuration } from "../../src/config/configuration.ts";
import type { Rotation } from "../../src/core/rotation.ts";
import type { RotatorError } from "../../src/errors.ts";
import type { ConsumerStateName } from "../../src/events.ts";
import type { Consumer } from "../../src/ports.ts";
import { Rotator } from "../../src/rotator.ts";
import { anOutput, aRotation, aSource, aToken, hours, minutes, ourVersion } from "../builders.ts";
import { TestEngine } from "../fakes/engine.ts";

/** Rotations over a vault in memory, and the runner that the functions would have for them. */
export class Scene {
  readonly engine = new TestEngine();
  readonly rotations: Rotation[] = [];
  readonly logged: string[] = [];
  /** Thrown in place of the configuration. */
  loadError: Error | undefined;
  readonly runner = new Runner({
    clock: this.engine.clock,
    telemetry: () => this.engine.telemetry,
    load: async () => {
      if (this.loadError !== undefined) {
        throw this.loadError;
      }
      const configuration = { tickMs: 5 * minutes, hash: "configuration" } as Configuration;
      return new Rotator(configuration, this.engine, this.rotations);
    },
  });

  /** What a function gets beside its request; what it says is kept, by level. */
  readonly context = {
    invocationId: "an-invocation",
    ...Object.fromEntries(
      ["debug", "info", "warn", "error"].map((level) => [
        level,
        (line: string) => this.logged.push(`${level} ${line}`),
      ]),
    ),
  } as unknown as InvocationContext;

  /** A rotation whose source mints tokens of an hour, with the secret `<name>-token`. */
  add(name: string, overrides: Partial<Rotation> = {}): Rotation {
    const { clock } = this.engine;
    const rotation = aRotation({
      name,
      sources: [
        aSource(
          async () =>
            aToken({
              text: `${name}-${clock.now()}`,
              issuedOn: new Date(clock.now()),
              expiresOn: new Date(clock.now() + hours),
            }),
          { key: name },
        ),
      ],
      outputs: [anOutput({ secret: `${name}-token` })],
      ...overrides,
    });
    this.rotations.push(rotation);
    return rotation;
  }

  /** A version in the vault, with a token that was issued `ageMs` ago and lives `lifeMs`. */
  seed(rotation: Rotation, ageMs: number, lifeMs: number = hours): void {
    const issuedOn = new Date(this.engine.clock.now() - ageMs);
    const token = aToken({ issuedOn, expiresOn: new Date(issuedOn.getTime() + lifeMs) });
    for (const { secret, vault } of rotation.outputs) {
      const properties = ourVersion({ rotation: rotation.name, token });
      this.engine.storeOf(vault).seed(secret, { value: token.value, properties });
    }
  }
}

/** One Container App that is fed by that secret, in that state whatever is asked of it. */
export function aConsumer(
  app: string,
  output: string,
  state: ConsumerStateName,
  error?: RotatorError,
): Rotation["consumers"] {
  const consumer: Consumer = {
    kind: "container-app",
    target: `/subscriptions/0/resourceGroups/rg-apps/providers/Microsoft.App/containerApps/${app}`,
    inspect: async (wanted) => ({
      state,
      behind: state === "behind" ? wanted.map(({ secret }) => secret) : [],
      ...(error === undefined ? {} : { error }),
    }),
    reconcile: async () => ({
      state,
      behind: [],
      updated: 1,
      restarted: true,
      ...(error === undefined ? {} : { error }),
    }),
  };
  return [{ consumer, output, secret: "database-uri" }];
}

export interface RequestParts {
  readonly method?: string;
  readonly url?: string;
  readonly headers?: Record<string, string>;
  readonly params?: Record<string, string>;
  readonly body?: string;
}

export function aRequest({
  method = "GET",
  url = "https://rotator.example.org/api/any",
  body,
  ...rest
}: RequestParts = {}) {
  return new azureFunctions.HttpRequest({
    method,
    url,
    ...rest,
    ...(body === undefined ? {} : { body: { string: body } }),
  });
}
