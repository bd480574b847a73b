import { unlessAborted } from "../core/deadline.ts";
import { asRotatorError } from "../errors.ts";
import type { TokenAnswer } from "../oauth/answer.ts";
import type { OAuthClient } from "../oauth/client.ts";
import { beginSignIn, finishSignIn } from "../oauth/signIn.ts";
import type { CallContext } from "../ports.ts";
import { startCallbackServer } from "./callbackServer.ts";
import { notSignedInPage, signedInPage } from "./pages.ts";

export interface BrowserSignIn<Result> {
  readonly rotation: string;
  readonly scopes: readonly string[];
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  /** As of the callback server. */
  readonly redirectUri: string;
  /** Shows the address to somebody who signs in there. */
  readonly show: (url: string) => Promise<void>;
  /** What is done with the answer. The browser is told that it worked only when this did. */
  readonly complete: (answer: TokenAnswer) => Promise<Result>;
}

/**
 * Signs somebody in with a browser on this machine.
 * @throws RotatorError `PortUnusable`, those of `oauth/signIn.ts` and of `complete`; the signal's reason.
 */
export async function signInWithBrowser<Result>(
  client: OAuthClient,
  request: BrowserSignIn<Result>,
  context: CallContext,
): Promise<Result> {
  const { rotation, scopes, parameters, show, complete } = request;
  await using server = await startCallbackServer(request.redirectUri);
  const { redirectUri } = server;
  const signIn = await beginSignIn(client, { scopes, parameters, redirectUri }, context);
  await show(signIn.url);
  const callback = await unlessAborted(context.signal, server.callback);
  try {
    const result = await complete(await finishSignIn(client, signIn, callback.url, context));
    await callback.answer(signedInPage(rotation));
    return result;
  } catch (error) {
    await callback.answer(notSignedInPage(asRotatorError(error).message));
    throw error;
  }
}
