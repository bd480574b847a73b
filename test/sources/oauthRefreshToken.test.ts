import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import * as z from "zod";
import { RotatorError } from "../../src/errors.ts";
import {
  type MicrosoftOAuth,
  type RefreshRefusal,
  startMicrosoftOAuth,
} from "../../src/local/microsoftOAuth.ts";
import { type OAuthServer, startOAuthServer } from "../../src/local/oauthServer.ts";
import { signedIn } from "../../src/local/signedIn.ts";
import { clientSecretPost } from "../../src/oauth/authentication.ts";
import type { SourceEnvironment, SourceSecrets } from "../../src/plugins.ts";
import type { TokenSource } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { type OAuthRefreshTokenOptions, oauthRefreshToken } from "../../src/sources/oauthRefreshToken.ts";
import { hours, minutes } from "../builders.ts";
import { assertSilent, failure, holding } from "../oauth/setup.ts";
import { aMint, complaints, type Surroundings, surround } from "./setup.ts";

const kind = "oauth-refresh-token";
const days = 24 * hours;
const scopes = ["offline_access", "Files.ReadWrite.All"];
const clientSecret = "canary-client-secret";

let surroundings: Surroundings;
/** Spends a refresh token by its use, and revokes everything when one is used again. */
let strict: OAuthServer;
/** Old refresh tokens stay valid. */
let microsoft: MicrosoftOAuth;
/** A secret of its own for every test. */
let secret: string;
let count = 0;

before(async () => {
  surroundings = await surround();
  const clients = [
    { clientId: "rotator", redirectUris: ["http://127.0.0.1/callback"] },
    { clientId: "confidential", secret: clientSecret, redirectUris: ["http://127.0.0.1/callback"] },
  ];
  strict = await startOAuthServer(surroundings.azure, { clients, scopes: ["Files.ReadWrite.All"] });
  microsoft = await startMicrosoftOAuth(surroundings.azure, { clients });
  surroundings.store("client-secret", clientSecret);
});
after(() => surroundings[Symbol.asyncDispose]());
beforeEach(() => {
  count += 1;
  secret = `refresh-token-${count}`;
});
afterEach(() => {
  surroundings.azure.faults.clear();
  surroundings.vault.fail = () => undefined;
  microsoft.refusal = undefined;
});

type Options = Partial<OAuthRefreshTokenOptions>;

/** A source over the secret of this test, as a process of its own has it. */
async function aSource(options: Options, overrides: Partial<SourceEnvironment> = {}): Promise<TokenSource> {
  const given = { kind, clientId: "rotator", scopes, refreshToken: { secret }, ...options };
  const environment = { ...surroundings.environment, authorityHost: microsoft.authorityHost, ...overrides };
  return await oauthRefreshToken.create(oauthRefreshToken.schema(z).parse(given), environment);
}

function atStrict(overrides: Partial<SourceEnvironment> = {}, options: Options = {}): Promise<TokenSource> {
  return aSource({ tokenEndpoint: strict.tokenEndpoint, ...options }, overrides);
}

function atMicrosoft(
  options: Options = {},
  overrides: Partial<SourceEnvironment> = {},
): Promise<TokenSource> {
  return aSource({ tenant: "consumers", ...options }, overrides);
}

/** Signs in and puts the refresh token into the vault, as `login` does. */
async function signIn(server: OAuthServer, properties: { expiresOn?: Date } = {}): Promise<string> {
  const text = await signedIn(server, surroundings.environment, { scopes });
  surroundings.vault.seed(secret, { value: new SecretValue(text), properties });
  return text;
}

function stored(): string | undefined {
  return surroundings.vault.versions(secret)[0]?.value.reveal();
}

function versions(): number {
  return surroundings.vault.versions(secret).length;
}

function asked(): number {
  const { requests } = surroundings.azure;
  return requests.count("oauth.token") + requests.count("microsoft.token");
}

/** A vault that the process dies before, or under. */
function dyingAt(keep: SourceSecrets["keep"]): Partial<SourceEnvironment> {
  const { leases, secrets } = surroundings.environment;
  // What the dead process held is nobody's any more.
  return {
    secrets: { ...secrets, keep },
    leases: { ...leases, hold: (_n, context, work) => work(context.signal) },
  };
}

/** A lease that is held until it is lost. */
function leaseOf(lost: AbortController): Partial<SourceEnvironment> {
  return { leases: { hold: (_name, _context, work) => work(lost.signal) } };
}

async function signInRequired(source: TokenSource, overrides = {}): Promise<RotatorError> {
  const error = await failure(source.mint(aMint(overrides)));
  assert.equal(error.code, "SignInRequired");
  assert.equal(error.retryable, false);
  assert.equal(error.facts.command, "token-rotator login app");
  assert.equal(error.facts.secret, secret);
  return error;
}

describe("the oauth-refresh-token source", () => {
  it("mints, and has stored the refresh token that came along before it hands the access token out", async () => {
    for (const server of [strict, microsoft.server]) {
      const first = await signIn(server);
      const source = server === strict ? await atStrict() : await atMicrosoft();
      let last = first;
      for (let renewal = 1; renewal <= 3; renewal += 1) {
        const before = versions();
        const token = await source.mint(aMint());
        assert.equal(token.expiresOn.getTime(), surroundings.clock.now() + hours);
        assert.equal(token.attributes?.scope?.includes("Files.ReadWrite.All"), true);
        assert.equal(
          (await server.verify(token.value.reveal(), surroundings.clock.now())).sub,
          "somebody@example.org",
        );
        assert.equal(versions(), before + 1);
        assert.equal(token.companions?.refreshToken?.reveal(), stored());
        assert.notEqual(stored(), last);
        last = stored() ?? "";
      }
    }
  });

  it("tags what it stores as its own, with the end of its life where that is known", async () => {
    await signIn(microsoft.server);
    await (await atMicrosoft()).mint(aMint());
    const [version] = surroundings.vault.versions(secret);
    assert.equal(version?.properties.tags["managed-by"], "keyvault-token-rotator");
    assert.equal(version?.properties.tags.rotation, "app");
    assert.equal(version?.properties.expiresOn?.getTime(), surroundings.clock.now() + 90 * days);

    await signIn(strict);
    await (await atStrict()).mint(aMint());
    assert.equal(surroundings.vault.versions(secret)[0]?.properties.expiresOn, undefined);
  });

  it("discovers a provider, and reads a refresh token that was stored from a file", async () => {
    const text = await signIn(strict);
    surroundings.store(secret, `${text}\n`);
    const token = await (await aSource({ issuer: strict.issuer })).mint(aMint());
    assert.equal(token.companions?.refreshToken?.reveal(), stored());
  });

  it("keeps the refresh token where the provider sends none, or the same", async () => {
    const text = await signIn(strict);
    for (const sent of [{}, { refresh_token: text }]) {
      const body = { access_token: "opaque", token_type: "Bearer", expires_in: 600, ...sent };
      surroundings.azure.faults.inject({
        kind: "answer",
        operation: "oauth.token",
        status: 200,
        body,
        times: 1,
      });
      const before = versions();
      const token = await (await atStrict()).mint(aMint());
      assert.equal(token.value.reveal(), "opaque");
      assert.equal(token.companions?.refreshToken?.reveal(), text);
      assert.equal(versions(), before);
    }
  });

  it("stores a new refresh token although the rest of the answer is of no use", async () => {
    await signIn(strict);
    const body = { access_token: "opaque", token_type: "Bearer", refresh_token: "the-next-one" };
    surroundings.azure.faults.inject({ kind: "answer", operation: "oauth.token", status: 200, body });
    const error = await failure((await atStrict()).mint(aMint()));
    assert.equal(error.code, "ExpiryUnknown");
    assert.equal(stored(), "the-next-one");
  });

  it("sends the secret of a confidential client, and none of a public one", async () => {
    // Microsoft refuses a public client that sends one.
    const text = await signedIn(microsoft.server, surroundings.environment, {
      clientId: "confidential",
      authentication: clientSecretPost(holding(clientSecret)),
      scopes,
    });
    surroundings.store(secret, text);
    const reference = { secret: "client-secret" };
    await (await atMicrosoft({ clientId: "confidential", clientSecret: reference })).mint(aMint());

    const problems: [Options, string][] = [
      [{ clientId: "confidential" }, "ClientSecretMissing"],
      [{ clientId: "rotator", clientSecret: reference }, "ClientMustBePublic"],
      [{ clientId: "nobody" }, "ClientUnknown"],
    ];
    for (const [options, code] of problems) {
      const error = await failure((await atMicrosoft(options)).mint(aMint()));
      assert.equal(error.code, code);
      assertSilent(error, clientSecret, text);
    }
  });

  it("tells Microsoft that it is a browser where the client is a single-page application", async () => {
    await signIn(microsoft.server);
    const origins: (string | null)[] = [];
    const { fetch } = surroundings.environment;
    const listening: typeof fetch = (input, init) => {
      origins.push(new Headers(init?.headers).get("origin"));
      return fetch(input, init);
    };
    for (const singlePage of [true, false]) {
      await (await atMicrosoft({ singlePage }, { fetch: listening })).mint(aMint());
    }
    assert.deepEqual(origins, ["http://localhost", null]);
  });
});

describe("a refresh token that is no longer accepted", () => {
  const classes: [RefreshRefusal, string][] = [
    [70000, "RefreshTokenRefused"],
    [70008, "RefreshTokenExpired"],
    [700082, "RefreshTokenExpired"],
    [700084, "RefreshTokenExpired"],
    [50173, "RefreshTokenRevoked"],
    [50076, "InteractionRequired"],
    [50079, "InteractionRequired"],
    [53003, "ConditionalAccessBlocked"],
    [50057, "AccountDisabled"],
    [65001, "ConsentRequired"],
  ];
  for (const [number, because] of classes) {
    it(`asks for a sign-in, once, at AADSTS${number}`, async () => {
      const text = await signIn(microsoft.server);
      microsoft.refusal = number;
      const source = await atMicrosoft();
      const first = await signInRequired(source);
      assert.equal(first.facts.because, because);
      assert.equal(first.facts.aadsts, number);
      assertSilent(first, text);

      const before = asked();
      for (const later of [source, await atMicrosoft()]) {
        assert.equal((await signInRequired(later)).facts.because, because);
      }
      assert.equal(asked(), before, "the provider is not asked again");
      assert.equal(versions(), 1);
    });
  }

  it("is a reason to ask again once another one is stored, or when asked by name", async () => {
    await signIn(microsoft.server);
    microsoft.refusal = 53003;
    const source = await atMicrosoft();
    await signInRequired(source);
    const before = asked();
    await signInRequired(source, { forced: true });
    assert.equal(asked(), before + 1);

    // The administrator has lifted the policy.
    microsoft.refusal = undefined;
    await signInRequired(source);
    await source.mint(aMint({ forced: true }));
    await source.mint(aMint());

    microsoft.refusal = 50173;
    await signInRequired(source);
    microsoft.refusal = undefined;
    await signIn(microsoft.server);
    await source.mint(aMint());
  });

  it("loses its mark when the provider accepts it after all and sends no other", async () => {
    await signIn(strict);
    surroundings.azure.faults.inject({
      kind: "answer",
      operation: "oauth.token",
      status: 400,
      body: { error: "invalid_grant" },
      times: 1,
    });
    const source = await atStrict();
    await signInRequired(source);
    const body = { access_token: "opaque", token_type: "Bearer", expires_in: 600 };
    surroundings.azure.faults.inject({ kind: "answer", operation: "oauth.token", status: 200, body });
    await source.mint(aMint({ forced: true }));
    await source.mint(aMint());
    assert.equal(surroundings.vault.versions(secret)[0]?.properties.tags.refused, undefined);
  });

  it("is told also where the vault does not take the mark", async () => {
    await signIn(microsoft.server);
    microsoft.refusal = 50173;
    surroundings.vault.fail = (call) => (call.startsWith("replaceTags") ? aVaultError() : undefined);
    const source = await atMicrosoft();
    await signInRequired(source);
    assert.equal((await signInRequired(source)).facts.aadsts, 50173);
  });

  it("is missing before the first sign-in", async () => {
    const before = asked();
    assert.equal((await signInRequired(await atMicrosoft())).facts.because, "RefreshTokenMissing");
    surroundings.store(secret, "\n");
    assert.equal((await signInRequired(await atMicrosoft())).facts.because, "RefreshTokenMissing");
    assert.equal(asked(), before);
  });

  it("is not what a provider means that is down, throttles or does not know the client", async () => {
    const text = await signIn(strict);
    const answers = [
      [503, "temporarily_unavailable", "ProviderUnavailable", true],
      [429, "slow_down", "ProviderThrottled", true],
      [401, "invalid_client", "ClientRefused", false],
      [400, "invalid_scope", "ScopeRefused", false],
    ] as const;
    const source = await atStrict();
    for (const [status, error, code, retryable] of answers) {
      const { faults } = surroundings.azure;
      faults.inject({ kind: "answer", operation: "oauth.token", status, body: { error }, times: 1 });
      const thrown = await failure(source.mint(aMint()));
      assert.deepEqual([thrown.code, thrown.retryable], [code, retryable]);
      assertSilent(thrown, text);
    }
    surroundings.azure.faults.inject({ kind: "reset", operation: "oauth.token", times: 1 });
    assert.equal((await failure(source.mint(aMint()))).code, "EndpointUnreachable");
    assert.equal(stored(), text);
    await source.mint(aMint());
  });
});

describe("a refresh token that must not be lost", () => {
  it("is stored in a second try of the same run, whatever kept the first from it", async () => {
    await signIn(strict);
    const { clock, vault } = surroundings;
    let refused = 0;
    vault.fail = (call) => (call.startsWith("write") && refused++ < 3 ? aVaultError(false) : undefined);
    const token = (await atStrict()).mint(aMint());
    while (refused < 4) {
      await setImmediate();
      await clock.advance(20_000);
    }
    assert.equal((await token).companions?.refreshToken?.reveal(), stored());
  });

  it("stays with the process until the vault takes it", async () => {
    const text = await signIn(strict);
    const { clock, vault } = surroundings;
    vault.fail = (call) => (call.startsWith("write") ? aVaultError() : undefined);
    const source = await atStrict();
    const error = await failing(source);
    assert.equal(error.code, "RefreshTokenLost");
    assert.equal(error.retryable, false);
    assert.deepEqual(error.facts, {
      command: "token-rotator login app",
      secret,
      vault: vault.vault,
      because: "VaultBroken",
    });
    assertSilent(error, text);
    assert.equal(stored(), text, "nothing was stored");

    vault.fail = () => undefined;
    await clock.advance(5 * minutes);
    const token = await source.mint(aMint());
    assert.equal(token.companions?.refreshToken?.reveal(), stored());
    // The one that had waited, and the one that it was renewed for.
    assert.equal(versions(), 3);
  });

  it("gives way to one that somebody has signed in for in the meantime", async () => {
    await signIn(strict);
    const { vault } = surroundings;
    vault.fail = (call) => (call.startsWith("write") ? aVaultError() : undefined);
    const source = await atStrict();
    await failing(source);
    vault.fail = () => undefined;
    await signIn(strict);
    const before = versions();
    await source.mint(aMint());
    assert.equal(versions(), before + 1);
  });

  it("does not take the place of one that was stored while the provider answered", async () => {
    await signIn(strict);
    const hold = surroundings.azure.faults.hold({ operation: "oauth.token", stage: "afterEffect" });
    const minting = (await atStrict()).mint(aMint());
    await hold.arrived();
    surroundings.store(secret, "of a sign-in meanwhile");
    hold.release();
    assert.equal((await minting).companions?.refreshToken?.reveal(), "of a sign-in meanwhile");
    assert.equal(stored(), "of a sign-in meanwhile");
  });

  it("is stored although whoever asked has given up, and serves whoever asks next", async () => {
    await signIn(strict);
    const { environment } = surroundings;
    const vaultOpens = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const keep: SourceSecrets["keep"] = async (...given) => {
      arrived.resolve();
      await vaultOpens.promise;
      return await environment.secrets.keep(...given);
    };
    const source = await atStrict({ secrets: { ...environment.secrets, keep } });
    const asking = new AbortController();
    const first = source.mint(aMint({ signal: asking.signal }));
    await arrived.promise;
    asking.abort(new Error("time is up"));
    await assert.rejects(first, /time is up/);

    const before = asked();
    const second = source.mint(aMint());
    vaultOpens.resolve();
    assert.equal((await second).companions?.refreshToken?.reveal(), stored());
    assert.equal(asked(), before);
  });

  it("heals after a crash between grant and store where the old one stays valid", async () => {
    const text = await signIn(microsoft.server);
    const arrived = Promise.withResolvers<void>();
    const dying = dyingAt(() => {
      arrived.resolve();
      return new Promise(() => {});
    });
    void (await atMicrosoft({}, dying)).mint(aMint());
    await arrived.promise;
    assert.equal(stored(), text);
    const token = await (await atMicrosoft()).mint(aMint());
    assert.equal(token.companions?.refreshToken?.reveal(), stored());
  });

  it("is named as a sign-in after a crash between grant and store where the provider detects reuse", async () => {
    const text = await signIn(strict);
    const arrived = Promise.withResolvers<void>();
    const dying = dyingAt(() => {
      arrived.resolve();
      return new Promise(() => {});
    });
    void (await atStrict(dying)).mint(aMint());
    await arrived.promise;
    const error = await signInRequired(await atStrict());
    assert.equal(error.facts.because, "RefreshTokenRefused");
    assertSilent(error, text);
  });

  it("survives a crash after the store: the next run spends the new one", async () => {
    await signIn(strict);
    const { environment } = surroundings;
    const arrived = Promise.withResolvers<void>();
    const dying = dyingAt(async (...given) => {
      await environment.secrets.keep(...given);
      arrived.resolve();
      return await new Promise(() => {});
    });
    void (await atStrict(dying)).mint(aMint());
    await arrived.promise;
    const token = await (await atStrict()).mint(aMint());
    assert.equal(token.companions?.refreshToken?.reveal(), stored());
  });

  it("is stored although the lease is lost while the provider answers", async () => {
    await signIn(strict);
    const lost = new AbortController();
    const hold = surroundings.azure.faults.hold({ operation: "oauth.token", stage: "afterEffect" });
    const minting = (await atStrict(leaseOf(lost))).mint(aMint());
    await hold.arrived();
    lost.abort(new Error("the lease is lost"));
    hold.release();
    assert.equal((await minting).companions?.refreshToken?.reveal(), stored());
    assert.equal(versions(), 2);
    await (await atStrict()).mint(aMint());
  });

  it("is not spent where the lease is lost before", async () => {
    await signIn(strict);
    const { secrets } = surroundings.environment;
    const lost = new AbortController();
    const find: SourceSecrets["find"] = async (...given) => {
      const found = await secrets.find(...given);
      lost.abort(new Error("the lease is lost"));
      return found;
    };
    const before = asked();
    const source = await atStrict({ ...leaseOf(lost), secrets: { ...secrets, find } });
    await assert.rejects(source.mint(aMint()), /the lease is lost/);
    assert.equal(asked(), before);
  });

  it("calls for nobody when it is refused because a run without the same lease was faster", async () => {
    await signIn(microsoft.server);
    const hold = surroundings.azure.faults.hold({ operation: "microsoft.token", times: 1 });
    const minting = failure((await atMicrosoft()).mint(aMint()));
    await hold.arrived();
    microsoft.refusal = 70000;
    await signIn(microsoft.server);
    hold.release();
    const { code, retryable, facts } = await minting;
    assert.deepEqual([code, retryable], ["RefreshTokenReplaced", true]);
    assert.deepEqual(facts, { secret, vault: surroundings.vault.vault });
    microsoft.refusal = undefined;
    await (await atMicrosoft()).mint(aMint());
  });

  it("is spent by one of two runs at a time", async () => {
    await signIn(strict);
    const before = asked();
    const runs = await Promise.allSettled(
      [await atStrict(), await atStrict()].map((source) => source.mint(aMint())),
    );
    const held = runs.filter((run) => run.status === "rejected").map(({ reason }) => reason);
    assert.equal(held.length, 1);
    assert.ok(held[0] instanceof RotatorError);
    assert.deepEqual([held[0].code, held[0].retryable], ["LeaseHeld", true]);
    assert.equal(asked(), before + 1);
    // Had the other one spent it too, everything would be revoked now.
    await (await atStrict()).mint(aMint());
  });

  it("is spent once by one source that is asked twice at a time", async () => {
    await signIn(strict);
    const before = asked();
    const source = await atStrict();
    const [one, other] = await Promise.all([source.mint(aMint()), source.mint(aMint())]);
    assert.ok(one.value.equals(other.value));
    assert.equal(asked(), before + 1);
  });
});

describe("the end of a refresh token", () => {
  /** Mints with a refresh token that the vault says ends so much later, for which the provider sends no other. */
  async function signInBy(left: number, options: Options, sent: Record<string, unknown> = {}) {
    const { clock, azure } = surroundings;
    const expiresOn = new Date(clock.now() + left);
    surroundings.vault.seed(secret, { value: new SecretValue("kept"), properties: { expiresOn } });
    const body = { access_token: "opaque", token_type: "Bearer", expires_in: 600, ...sent };
    azure.faults.inject({ kind: "answer", operation: "*", status: 200, body, times: 1 });
    const token = await (await aSource(options)).mint(aMint());
    return token.signInBy === undefined ? undefined : token.signInBy.getTime() - clock.now();
  }

  it("is told in the last 14 days of 90", async () => {
    const tenant = "consumers";
    assert.equal(await signInBy(14 * days, { tenant }), 14 * days);
    assert.equal(await signInBy(14 * days + 1000, { tenant }), undefined);
  });

  it("is told in the last 6 hours of 24", async () => {
    const options = { tenant: "consumers", singlePage: true };
    assert.equal(await signInBy(6 * hours, options), 6 * hours);
    assert.equal(await signInBy(6 * hours + 1000, options), undefined);
  });

  it("is told where it comes before that of the access token", async () => {
    const { tokenEndpoint } = strict;
    assert.equal(await signInBy(600_000, { tokenEndpoint }), 600_000);
    assert.equal(await signInBy(601_000, { tokenEndpoint }), undefined);
  });

  it("is that of the sign-in for a single-page application, and moves with every use otherwise", async () => {
    const { clock } = surroundings;
    for (const [singlePage, end] of [
      [true, clock.now() + 20 * hours],
      [false, clock.now() + 90 * days],
    ] as const) {
      await signIn(microsoft.server, { expiresOn: new Date(clock.now() + 20 * hours) });
      await (await atMicrosoft({ singlePage })).mint(aMint());
      assert.equal(surroundings.vault.versions(secret)[0]?.properties.expiresOn?.getTime(), end);
    }
  });

  it("is what the provider says, where it says it", async () => {
    const { clock } = surroundings;
    const sent = { refresh_token: "the-next-one", refresh_token_expires_in: 3_600 };
    const told = await signInBy(
      days,
      { tokenEndpoint: strict.tokenEndpoint, refreshTokenLifetime: "8h" },
      sent,
    );
    assert.equal(told, 1 * hours);
    assert.equal(
      surroundings.vault.versions(secret)[0]?.properties.expiresOn?.getTime(),
      clock.now() + hours,
    );
  });

  it("is left out where the vault could not keep it", async () => {
    const sent = { refresh_token: "the-next-one", refresh_token_expires_in: 20 * 365 * 86_400 };
    assert.equal(await signInBy(days, { tokenEndpoint: strict.tokenEndpoint }, sent), undefined);
    assert.equal(surroundings.vault.versions(secret)[0]?.properties.expiresOn, undefined);
  });
});

describe("the options of oauth-refresh-token", () => {
  const common = { kind, clientId: "rotator", scopes, refreshToken: { secret: "refresh-token" } };
  const wrong: [string, Record<string, unknown>, string[]][] = [
    ["no provider", {}, ["tenant"]],
    ["two providers", { tenant: "common", issuer: "https://login.example.org" }, ["tenant"]],
    ["a tenant that is none", { tenant: "contoso" }, ["tenant"]],
    ["a tenant that is a path", { tenant: "../common" }, ["tenant"]],
    ["an endpoint without TLS", { tokenEndpoint: "http://login.example.org/token" }, ["tokenEndpoint"]],
    [
      "an endpoint that is discovered",
      { issuer: "https://login.example.org", authorizationEndpoint: "https://login.example.org/authorize" },
      ["authorizationEndpoint"],
    ],
    ["a way to send no secret", { tenant: "common", authentication: "post" }, ["authentication"]],
    ["scopes in one text", { tenant: "common", scopes: [...scopes, "a b"] }, ["scopes.2"]],
    ["scopes with commas", { tenant: "common", scopes: [...scopes, "a,b"] }, ["scopes.2"]],
    ["no offline_access for Microsoft", { tenant: "common", scopes: ["Files.Read"] }, ["scopes"]],
    ["a single page elsewhere", { issuer: "https://login.example.org", singlePage: true }, ["singlePage"]],
    ["a refresh token in place of its name", { tenant: "common", refreshToken: "M.C5" }, ["refreshToken"]],
    [
      "a redirect to another machine",
      { tenant: "common", redirectUri: "http://example.org/" },
      ["redirectUri"],
    ],
  ];
  for (const [what, options, paths] of wrong) {
    it(`refuse ${what}`, () => {
      assert.deepEqual(complaints(oauthRefreshToken, { ...common, ...options }), paths);
    });
  }

  it("take tenants by name, id and domain, issuers and endpoints", () => {
    const { tokenEndpoint } = strict;
    const providers = [
      { tenant: "consumers" },
      { tenant: "7d22ece1-dd60-4279-a911-4b7b95934f2e" },
      { tenant: "contoso.onmicrosoft.com" },
      { issuer: "https://login.example.org/realms/a", scopes: ["openid"] },
      { tokenEndpoint, deviceAuthorizationEndpoint: tokenEndpoint, redirectUri: "http://localhost:8020" },
    ];
    for (const provider of providers) {
      assert.deepEqual(complaints(oauthRefreshToken, { ...common, ...provider }), []);
    }
  });

  it("name the secrets that are read and the one that is kept", () => {
    const options = oauthRefreshToken.schema(z).parse({
      ...common,
      tenant: "common",
      clientSecret: { secret: "client-secret" },
    });
    assert.deepEqual(oauthRefreshToken.secrets(options), [
      { path: ["clientSecret"], reference: { secret: "client-secret" }, access: "read" },
      { path: ["refreshToken"], reference: { secret: "refresh-token" }, access: "keep" },
    ]);
  });
});

function aVaultError(retryable = true): RotatorError {
  return new RotatorError({ code: "VaultBroken", message: "Broken.", remedy: "Wait.", retryable });
}

/** The error of a mint that goes on trying for as long as it may. */
async function failing(source: TokenSource): Promise<RotatorError> {
  let error: RotatorError | undefined;
  const run = failure(source.mint(aMint())).then((thrown) => {
    error = thrown;
  });
  while (error === undefined) {
    await setImmediate();
    await surroundings.clock.advance(1_000);
  }
  await run;
  return error;
}
