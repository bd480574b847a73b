import type { Stores } from "../compose.ts";
import type { Configuration } from "../config/configuration.ts";
import type { CallContext, Clock } from "../ports.ts";
import type { Rotator } from "../rotator.ts";
import { type Check, failed } from "./check.ts";
import { checkClock } from "./clockCheck.ts";
import { checkConsumers } from "./consumerChecks.ts";
import { checkIdentity } from "./identityCheck.ts";
import { checkConfiguration, checkTicks, checkVersions } from "./rotationChecks.ts";
import { checkVaults } from "./vaultChecks.ts";

export interface Patient {
  readonly configuration: Configuration;
  readonly rotator: Rotator;
  readonly stores: Stores;
  readonly clock: Clock;
  /** For provider endpoints, as `safeFetch` gives it. */
  readonly fetch: typeof globalThis.fetch;
  readonly signal: AbortSignal;
}

/**
 * Looks at everything that a tick depends on, in the order in which a tick would meet it, and changes nothing. What could
 * only be found out by writing is said to be so.
 */
export async function examine(patient: Patient): Promise<Check[]> {
  const { configuration, stores, clock, fetch, signal } = patient;
  const vaults = [
    ...new Set(configuration.rotations.flatMap(({ outputs }) => outputs.map(({ vault }) => vault))),
  ];
  const [first = configuration.vault] = vaults;
  const clocks = Promise.all(vaults.map((vault) => checkClock(vault, clock, fetch)));
  const { check, principal, hasToken } = await checkIdentity(stores.identity, stores.credential, first);
  const before = [...checkConfiguration(configuration), check];
  if (!hasToken) {
    return [...before, ...(await clocks), notTried];
  }
  // Nothing is tried twice: whoever asks wants to know how things are now.
  const context: CallContext = { signal, giveUpAt: clock.now() };
  const ofVaults = checkVaults({ configuration, storeOf: stores.storeOf, principal, context });
  return [...before, ...(await clocks), ...(await ofVaults), ...(await checkRotations(patient, principal))];
}

const notTried: Check = {
  check: "vault",
  state: "warn",
  message: "Vaults and consumers were not tried, because there is no token to try them with.",
};

async function checkRotations(
  { configuration, rotator, signal }: Patient,
  principal: Parameters<typeof checkConsumers>[1],
): Promise<Check[]> {
  try {
    const survey = await rotator.survey({ signal, deadlineMs: surveyMs });
    return [
      ...checkConsumers(survey, principal),
      checkTicks(survey, configuration.tickMs),
      ...checkVersions(survey),
    ];
  } catch (error) {
    signal.throwIfAborted();
    return [failed("tick", error)];
  }
}

const surveyMs = 30_000;
