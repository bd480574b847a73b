import * as oauth from "oauth4webapi";
import { RotatorError } from "../errors.ts";
import type { CallContext } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import type { TokenAnswer } from "./answer.ts";
import { type Asked, libraryClient, type OAuthClient, parametersOf } from "./client.ts";
import { endpointFetch } from "./endpoint.ts";
import { asProblem } from "./libraryErrors.ts";
import { oauthProblems } from "./problems.ts";

/** A sign-in on another device (RFC 8628) that has begun. */
export interface DeviceSignIn {
  /** What the person opens, on any device. */
  readonly verificationUri: string;
  /** The same with the code already in it, where the provider offers that. */
  readonly verificationUriComplete?: string;
  /** What the person types there. */
  readonly userCode: string;
  readonly deviceCode: SecretValue;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly intervalMs: number;
}

/**
 * Asks for a code that a person enters on another device.
 * @throws RotatorError `EndpointNotOffered` where the server has no such endpoint; those of discovery and of the way.
 */
export async function beginDeviceSignIn(
  client: OAuthClient,
  asked: Asked,
  context: CallContext,
): Promise<DeviceSignIn> {
  const { metadata, insecure } = await client.server(context);
  const { environment } = client;
  const facts = { host: new URL(metadata.issuer).host };
  const libClient = libraryClient(client.clientId, environment.clock);
  const authentication = await client.authentication(context);
  const startedAt = environment.clock.now();
  try {
    const response = await oauth.deviceAuthorizationRequest(
      metadata,
      libClient,
      authentication,
      parametersOf(asked),
      {
        ...insecure,
        [oauth.customFetch]: endpointFetch(environment, "deviceCode"),
        signal: context.signal,
      },
    );
    const answer = await oauth.processDeviceAuthorizationResponse(metadata, libClient, response);
    return {
      verificationUri: answer.verification_uri,
      ...(answer.verification_uri_complete === undefined
        ? {}
        : { verificationUriComplete: answer.verification_uri_complete }),
      userCode: answer.user_code,
      deviceCode: new SecretValue(answer.device_code),
      expiresAt: startedAt + answer.expires_in * 1000,
      intervalMs: (answer.interval ?? 5) * 1000,
    };
  } catch (error) {
    context.signal.throwIfAborted();
    throw asProblem(error, facts);
  }
}

/**
 * Waits until the person has signed in.
 * @throws RotatorError `SignInTimedOut`, `SignInDenied`, and those of every grant.
 */
export async function finishDeviceSignIn(
  client: OAuthClient,
  signIn: DeviceSignIn,
  context: CallContext,
): Promise<TokenAnswer> {
  const { clock } = client.environment;
  let { intervalMs } = signIn;
  for (;;) {
    await clock.sleep(intervalMs, context.signal);
    if (clock.now() >= signIn.expiresAt) {
      throw new RotatorError(oauthProblems.SignInTimedOut);
    }
    try {
      return await client.send("deviceCode", context, {
        send: ({ server, client: libClient, authentication, options }) =>
          oauth.deviceCodeGrantRequest(
            server,
            libClient,
            authentication,
            signIn.deviceCode.reveal(),
            options,
          ),
      });
    } catch (error) {
      context.signal.throwIfAborted();
      const said = error instanceof RotatorError ? error.facts.error : undefined;
      if (said === "slow_down") {
        // RFC 8628, section 3.5: this and every later wait is longer by 5 seconds.
        intervalMs += 5000;
      } else if (said !== "authorization_pending" && !(error instanceof RotatorError && error.retryable)) {
        throw error;
      }
    }
  }
}
