import { createPublicKey } from "node:crypto";
import type { JWTPayload } from "jose";
import { systemClock } from "../../src/clock.ts";
import type { EmbeddedContainerApp } from "../../src/local/embeddedContainerApp.ts";
import type { OAuthServer } from "../../src/local/oauthServer.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { minutes } from "../builders.ts";
import { keyPairSecret, microsoftSecret, outputs, type Surroundings, strictSecret } from "./surroundings.ts";

/** What is left when all is done: whatever stands in the way of it, it must come to {@link allIsWell}. */
export interface End {
  /** Outputs whose version is enabled, intact, and lives for long. */
  readonly fresh: readonly string[];
  /** Every rotation with two outputs has one token in both. */
  readonly outputsAgree: boolean;
  /** The session's key is the one beside it, and the one that is kept. */
  readonly sessionFitsKey: boolean;
  readonly appHoldsNewest: boolean;
  readonly appRunsNewest: boolean;
  readonly replicas: number;
  readonly somebodyElsesSecret: string | undefined;
  /** The providers take the refresh tokens in the vault. */
  readonly strictAccepted: boolean;
  readonly microsoftAccepted: boolean;
}

export const allIsWell: End = {
  fresh: outputs,
  outputsAgree: true,
  sessionFitsKey: true,
  appHoldsNewest: true,
  appRunsNewest: true,
  replicas: 1,
  somebodyElsesSecret: "untouched",
  strictAccepted: true,
  microsoftAccepted: true,
};

/** Spends the refresh tokens. */
export async function endOf(surroundings: Surroundings, app: EmbeddedContainerApp): Promise<End> {
  const { azure, oci, strict, microsoft } = surroundings;
  const now = systemClock.now();
  const current = (name: string) => azure.vault.secrets.find(name);
  const value = (name: string) => current(name).value.reveal();
  const agree = (one: string, other: string) => current(one).tags?.token === current(other).tags?.token;
  const configured = new Map(app.secrets.configured.map((secret) => [secret.name, secret]));
  const held = (name: string) => {
    const secret = configured.get(name);
    return secret !== undefined && "value" in secret ? secret.value.reveal() : undefined;
  };
  const replicas = app.containers();
  const runs = (name: string, text: string) =>
    replicas.every(({ environment }) => {
      const given = environment.get(name);
      return given instanceof SecretValue && given.reveal() === text;
    });
  const [uri, token] = [value("database-uri"), value("api-token")];
  const session = await oci.verify(value("oci-token"), now).catch(() => undefined);
  return {
    fresh: outputs.filter((name) => {
      const { enabled, expires = 0, tags, value } = current(name);
      return enabled && expires * 1000 > now + 30 * minutes && tags?.content === value.fingerprint();
    }),
    outputsAgree: agree("database-token", "database-uri") && agree("oci-token", "oci-key"),
    sessionFitsKey: isBound(session, value("oci-key")) && value("oci-key") === value(keyPairSecret),
    appHoldsNewest: held("database-uri") === uri && held("api-key") === token,
    appRunsNewest: runs("DATABASE_URI", uri) && runs("API_KEY", token),
    replicas: replicas.length,
    somebodyElsesSecret: held("somebody-elses"),
    strictAccepted: await isAccepted(strict, value(strictSecret)),
    microsoftAccepted: await isAccepted(microsoft.server, value(microsoftSecret)),
  };
}

async function isAccepted({ tokenEndpoint }: OAuthServer, refreshToken: string): Promise<boolean> {
  const body = new URLSearchParams({
    grant_type: "refresh_token",
    client_id: "rotator",
    refresh_token: refreshToken,
  });
  return (await fetch(tokenEndpoint, { method: "POST", body })).ok;
}

function isBound(session: JWTPayload | undefined, privateKey: string): boolean {
  const { n } = privateKey.startsWith("-----")
    ? createPublicKey(privateKey).export({ format: "jwk" })
    : { n: "no key" };
  return JSON.parse(String(session?.jwk ?? "{}")).n === n;
}
