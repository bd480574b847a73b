import assert from "node:assert/strict";
import { ManagedIdentityApplication } from "@azure/msal-node";

/**
 * Gives this process the variables that a function app has, until disposed of: `@azure/identity` reads those of the managed
 * identity from the real environment. What MSAL remembers of another endpoint and of its tokens is forgotten before and after.
 */
export function takeIdentity(environment: Readonly<Record<string, string>>): Disposable {
  const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, environment);
  forgetIdentity();
  return {
    [Symbol.dispose]: () => {
      for (const [name, value] of before) {
        if (value === undefined) {
          delete process.env[name];
        } else {
          process.env[name] = value;
        }
      }
      forgetIdentity();
    },
  };
}

/** What MSAL keeps for the life of a process, and has no other way to be rid of: the endpoint, and the tokens. */
function forgetIdentity(): void {
  const application = ManagedIdentityApplication as unknown as { nodeStorage: unknown };
  const { managedIdentityClient } = new ManagedIdentityApplication() as unknown as {
    managedIdentityClient: { constructor: { identitySource: unknown } };
  };
  // Made by the constructor above: under another name, nothing here would have an effect.
  assert.notEqual(application.nodeStorage, undefined);
  application.nodeStorage = undefined;
  managedIdentityClient.constructor.identitySource = undefined;
}
