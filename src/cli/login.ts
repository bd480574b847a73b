import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { composeStores, sourceEnvironments } from "../compose.ts";
import type { Configuration } from "../config/configuration.ts";
import { parseDuration } from "../config/duration.ts";
import { startDeadline } from "../core/deadline.ts";
import { oneLine, problems, RotatorError } from "../errors.ts";
import type { TokenAnswer } from "../oauth/answer.ts";
import type { OAuthClient } from "../oauth/client.ts";
import type { CallContext, SecretProperties } from "../ports.ts";
import { rotationsNamed } from "../rotationsNamed.ts";
import { SecretValue } from "../secretValue.ts";
import { misuse, signInProblems } from "../signIn/problems.ts";
import { keeping, type OAuthRefreshTokenOptions } from "../sources/oauthRefreshToken.ts";
import type { CommonOptions, ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";
import { paint } from "./paint.ts";
import { openConfiguration } from "./rotator.ts";

const loginProblems = problems({
  OptionInvalid: {
    message: "An option has a value that it cannot have.",
    remedy: "Write --port as a number from 1 to 65535 and --timeout as a duration such as 10m.",
    retryable: false,
  },
});

export interface LoginOptions extends CommonOptions {
  /** False with `--no-browser`. */
  readonly browser: boolean;
  readonly deviceCode?: boolean;
  readonly port?: string;
  readonly timeout: string;
  readonly fromEnv?: string;
  readonly fromFile?: string;
  readonly secret?: string;
}

/** Signs somebody in for a rotation and stores the refresh token where its source looks for it. */
export async function action(io: Io, options: LoginOptions, name: string): Promise<ExitCode> {
  const configuration = await openConfiguration(io, options);
  const source = sourceOf(configuration, name, options.secret);
  const environment = sourceEnvironments(configuration, io, composeStores(io))(name);
  const [{ createRefreshTokenClient }, { RefreshTokenKeeper }] = await Promise.all([
    import("../sources/refreshTokenClient.ts"),
    import("../sources/refreshTokenKeeper.ts"),
  ]);
  const client = createRefreshTokenClient(source, environment);
  const keeper = new RefreshTokenKeeper(keeping(source), environment);
  const timeoutMs = parseDuration(options.timeout);
  if (timeoutMs === undefined) {
    throw misuse(loginProblems.OptionInvalid, { option: "--timeout" });
  }
  using deadline = startDeadline(io.clock, timeoutMs, io.signal);
  const context = { signal: deadline.signal, giveUpAt: io.clock.now() + timeoutMs };
  const store = (answer: TokenAnswer) => {
    if (answer.refreshToken === undefined) {
      throw new RotatorError(signInProblems.RefreshTokenNotIssued);
    }
    return keeper.put(answer.refreshToken, answer, context);
  };
  const brought = await broughtToken(io, options);
  let stored: SecretProperties;
  try {
    if (brought !== undefined) {
      const { asked } = await import("../sources/refreshTokenClient.ts");
      stored = await keeper.bringIn(
        brought,
        (token, adapt, within) => client.refresh(token, { ...asked(source), adapt }, within),
        context,
      );
    } else if (options.deviceCode) {
      stored = await store(await onAnotherDevice(io, client, source, context));
    } else {
      stored = await withBrowser(io, options, client, { rotation: name, source, store }, context);
    }
  } catch (error) {
    throw error === deadline.signal.reason ? ended(io) : error;
  }
  report(io, options, name, environment.secrets.resolve(source.refreshToken), stored);
  return 0;
}

/** The one source of the rotation that signs somebody in, wherever it stands in its options. */
function sourceOf(
  configuration: Configuration,
  name: string,
  secret: string | undefined,
): OAuthRefreshTokenOptions {
  const [rotation] = rotationsNamed(configuration.rotations, [name]);
  if (rotation?.state !== "ready") {
    throw misuse(signInProblems.RotationBlocked, { rotation: name });
  }
  const all = rotation.sources.flatMap(({ options }) => signInSources(options));
  // One refresh token may serve several sources.
  const bySecret = new Map(all.map((source) => [source.refreshToken.secret, source]));
  const found = secret === undefined ? [...bySecret.values()] : [bySecret.get(secret)];
  const [source] = found;
  if (source === undefined) {
    throw misuse(signInProblems.NothingToSignIn, {
      rotation: name,
      ...(secret === undefined ? {} : { secret }),
    });
  }
  if (found.length > 1) {
    throw misuse(signInProblems.SeveralSignIns, { rotation: name, secrets: [...bySecret.keys()].join(" ") });
  }
  return source;
}

function signInSources(options: unknown): readonly OAuthRefreshTokenOptions[] {
  if (typeof options !== "object" || options === null) {
    return [];
  }
  return "kind" in options && options.kind === "oauth-refresh-token"
    ? // The configuration has checked it.
      [options as OAuthRefreshTokenOptions]
    : Object.values(options).flatMap(signInSources);
}

async function broughtToken(io: Io, { fromEnv, fromFile }: LoginOptions): Promise<SecretValue | undefined> {
  if (fromEnv === undefined && fromFile === undefined) {
    return undefined;
  }
  const { refreshTokenIn } = await import("../signIn/tokenSet.ts");
  if (fromEnv !== undefined) {
    return refreshTokenIn(new SecretValue(io.environment[fromEnv] ?? ""));
  }
  const text = await readFile(resolve(io.directory, fromFile ?? ""), "utf8").catch((cause: unknown) => {
    throw misuse(signInProblems.TokenSetUnreadable, {}, cause);
  });
  return refreshTokenIn(new SecretValue(text));
}

async function onAnotherDevice(
  io: Io,
  client: OAuthClient,
  { scopes, signInParameters: parameters }: OAuthRefreshTokenOptions,
  context: CallContext,
): Promise<TokenAnswer> {
  const { beginDeviceSignIn, finishDeviceSignIn } = await import("../oauth/deviceSignIn.ts");
  const signIn = await beginDeviceSignIn(client, { scopes, parameters }, context);
  const { verificationUri, userCode } = signIn;
  io.stderr.write(
    `Open ${oneLine(verificationUri)} on any device and enter the code ${paint(io.stderr, "bold", oneLine(userCode))}.\n`,
  );
  return await finishDeviceSignIn(client, signIn, context);
}

async function withBrowser<Result>(
  io: Io,
  options: LoginOptions,
  client: OAuthClient,
  {
    rotation,
    source,
    store,
  }: {
    rotation: string;
    source: OAuthRefreshTokenOptions;
    store: (answer: TokenAnswer) => Promise<Result>;
  },
  context: CallContext,
): Promise<Result> {
  const { signInWithBrowser } = await import("../signIn/browserSignIn.ts");
  const request = {
    rotation,
    scopes: source.scopes,
    parameters: source.signInParameters,
    redirectUri: redirectUri(source, options.port),
    show: async (url: string) => {
      const how = options.browser ? "Sign in with the browser. Where none opens, go to" : "Sign in at";
      io.stderr.write(`${how}\n\n  ${url}\n\n`);
      if (options.browser) {
        await openBrowser(url);
      }
    },
    complete: store,
  };
  return await signInWithBrowser(client, request, context);
}

function redirectUri(
  { redirectUri = "http://127.0.0.1/callback" }: OAuthRefreshTokenOptions,
  port?: string,
): string {
  if (port === undefined) {
    return redirectUri;
  }
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535) {
    throw misuse(loginProblems.OptionInvalid, { option: "--port" });
  }
  const registered = new URL(redirectUri).port;
  if (registered !== "" && registered !== port) {
    throw misuse(signInProblems.PortNotRegistered, { registered: Number(registered), port: Number(port) });
  }
  return redirectUri.replace(/^(http:\/\/[^/:]+)(?::\d+)?/, `$1:${port}`);
}

/** Whatever becomes of it, the address stands in the terminal. */
async function openBrowser(url: string): Promise<void> {
  const { default: open } = await import("open");
  await open(url)
    .then((browser) => browser.once("error", () => {}))
    .catch(() => {});
}

/** Why the signal was aborted, in words. */
function ended(io: Io): RotatorError {
  return new RotatorError(
    io.signal.aborted ? signInProblems.SignInStopped : signInProblems.SignInNotFinished,
  );
}

function report(
  io: Io,
  options: LoginOptions,
  rotation: string,
  { secret, vault }: { secret: string; vault: string },
  { version, expiresOn }: SecretProperties,
): void {
  if (options.json) {
    const end = expiresOn === undefined ? {} : { signInBy: expiresOn.toISOString() };
    printJson(io, { rotation, secret, vault, version, ...end });
    return;
  }
  const until = expiresOn === undefined ? "" : ` Unused, it ends on ${expiresOn.toISOString().slice(0, 10)}.`;
  io.stdout.write(
    `The refresh token of ${rotation} is in ${vault} as ${secret}.${until}\n` +
      `The rotation goes on with it at its next tick; \`token-rotator rotate ${rotation}\` does so now.\n`,
  );
  if (options.fromFile !== undefined || options.fromEnv !== undefined) {
    io.stdout.write("Delete the token set that you brought: the vault is its place from now on.\n");
  }
}
