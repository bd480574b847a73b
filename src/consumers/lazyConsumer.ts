import type { Consumer } from "../ports.ts";

/** A consumer that is made when it is first needed: its SDK is not loaded in a tick that fails before. */
export function lazyConsumer(kind: string, target: string, load: () => Promise<Consumer>): Consumer {
  return {
    kind,
    target,
    inspect: async (wanted, context) => (await load()).inspect(wanted, context),
    reconcile: async (wanted, context) => (await load()).reconcile(wanted, context),
  };
}
