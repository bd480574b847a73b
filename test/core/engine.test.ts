import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { runTick } from "../../src/core/engine.ts";
import type { Rotation } from "../../src/core/rotation.ts";
import { RotatorError } from "../../src/errors.ts";
import type { MintContext, Telemetry, Token } from "../../src/ports.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { anOutput, aRotation, aSource, aToken, epoch, hours, minutes, vault } from "../builders.ts";
import { TestEngine } from "../fakes/engine.ts";

const failing = (code: string, retryable = false) =>
  new RotatorError({ code, message: "It failed.", remedy: "Mend it.", retryable });

/** A source whose tokens live an hour from the moment they are minted; it counts what it is asked. */
function hourly(engine: TestEngine, overrides: Partial<Token> = {}) {
  const asked: MintContext[] = [];
  const source = aSource(async (context) => {
    asked.push(context);
    const issuedOn = new Date(engine.clock.now());
    return {
      value: new SecretValue(`token-${asked.length}`),
      issuedOn,
      expiresOn: new Date(issuedOn.getTime() + hours),
      ...overrides,
    };
  });
  return { asked, source };
}

describe("publishing", () => {
  test("a first version carries its expiry, its content type and all that the next decision needs", async () => {
    const engine = new TestEngine();
    const { source } = hourly(engine, { subject: "somebody" });
    const { rotations } = await engine.tick([aRotation({ sources: [source] })]);

    const [result] = rotations;
    assert.equal(result?.outcome, "Rotated");
    assert.equal(result?.reason, "SecretMissing");
    const [written, ...others] = engine.store.versions("app-token");
    assert.equal(others.length, 0);
    assert.equal(written?.value.reveal(), "token-1");
    assert.deepEqual(written?.properties.expiresOn, new Date(epoch + hours));
    assert.equal(written?.properties.contentType, "text/plain");
    const { subject, token, content, ...tags } = written?.properties.tags ?? {};
    assert.deepEqual(tags, {
      "managed-by": "keyvault-token-rotator",
      rotation: "app",
      spec: "spec-1",
      operation: "operation-1",
      issued: "2026-01-01T00:00:00.000Z",
      sequence: "1",
    });
    assert.equal(token, new SecretValue("token-1").fingerprint());
    assert.equal(content, token);
    assert.match(subject ?? "", /^[0-9a-f]{32}$/);
  });

  test("an hour of ticks writes one version when it falls due, and none otherwise", async () => {
    const engine = new TestEngine();
    const { source, asked } = hourly(engine);
    const rotation = aRotation({ sources: [source] });
    for (let tick = 0; tick < 12; tick += 1) {
      await engine.tick([rotation]);
      await engine.clock.advance(5 * minutes);
    }
    assert.equal(engine.store.versions("app-token").length, 2);
    assert.equal(asked.length, 2);
    assert.equal(engine.telemetry.of("TickCompleted").length, 12);
    assert.equal(engine.store.versions("app-token")[0]?.properties.tags.sequence, "2");
  });

  test("no value is read to decide", async () => {
    const engine = new TestEngine();
    const { source } = hourly(engine);
    const rotation = aRotation({ sources: [source] });
    await engine.tick([rotation]);
    await engine.tick([rotation]);
    assert.deepEqual(engine.store.calls, ["inspect", "write:app-token", "inspect"]);
  });

  test("rotations that share a source share its token", async () => {
    const engine = new TestEngine();
    const { source, asked } = hourly(engine);
    const rotations = ["a", "b", "c"].map((name) =>
      aRotation({ name, sources: [source], outputs: [anOutput({ secret: `${name}-token` })] }),
    );
    await engine.tick(rotations);
    assert.equal(asked.length, 1);
    assert.equal(engine.store.versions("c-token")[0]?.value.reveal(), "token-1");
  });

  test("a source learns the newest token that any of its rotations holds", async () => {
    const engine = new TestEngine();
    const { source, asked } = hourly(engine);
    const a = aRotation({ name: "a", sources: [source], outputs: [anOutput({ secret: "a" })] });
    const b = aRotation({ name: "b", sources: [source], outputs: [anOutput({ secret: "b" })] });
    await engine.tick([a]);
    await engine.tick([a, b], { force: true });
    assert.equal(asked[0]?.current, undefined);
    assert.equal(asked[1]?.current?.fingerprint, new SecretValue("token-1").fingerprint());
    assert.equal(asked[1]?.forced, true);
  });

  test("a key that stays the same gets a version with the new token's expiry", async () => {
    const engine = new TestEngine();
    const { source } = hourly(engine);
    const key = anOutput({
      secret: "key",
      load: async () => ({ render: () => ({ value: new SecretValue("same key"), contentType: "x" }) }),
    });
    const rotation = aRotation({ sources: [source], outputs: [anOutput(), key] });
    await engine.tick([rotation]);
    await engine.clock.advance(40 * minutes);
    await engine.tick([rotation]);
    assert.equal(engine.store.versions("key").length, 2);
    const { rotations } = await engine.tick([rotation]);
    assert.equal(rotations[0]?.outcome, "Fresh");
  });
});

describe("sources that differ", () => {
  /** Tokens of a day while the first source works, of an hour from the second one. */
  function twoSources(engine: TestEngine, subjects: readonly [string?, string?] = []) {
    const down = { first: false };
    let minted = 0;
    const token = (life: number, subject: string | undefined): Token => {
      const issuedOn = new Date(engine.clock.now());
      return aToken({
        text: `token-${++minted}`,
        issuedOn,
        expiresOn: new Date(issuedOn.getTime() + life),
        ...(subject === undefined ? {} : { subject }),
      });
    };
    const first = async () => {
      if (down.first) {
        throw failing("Down");
      }
      return token(24 * hours, subjects[0]);
    };
    const sources = [
      aSource(first, { key: "first" }),
      aSource(async () => token(hours, subjects[1]), { key: "second" }),
    ];
    return { down, sources };
  }

  test("do not make a version of one output on every tick while they cannot be brought together", async () => {
    const engine = new TestEngine();
    const { down, sources } = twoSources(engine);
    const outputs = [anOutput({ secret: "old" }), anOutput({ secret: "added" })];
    await engine.tick([aRotation({ sources, outputs: outputs.slice(0, 1) })]);
    down.first = true;
    const outcomes: unknown[] = [];
    for (let tick = 0; tick < 3; tick += 1) {
      const { rotations } = await engine.tick([aRotation({ sources, outputs })]);
      outcomes.push(rotations[0]?.outcome);
      await engine.clock.advance(5 * minutes);
    }
    assert.deepEqual(outcomes, ["Rotated", "SourceUnchanged", "SourceUnchanged"]);
    assert.equal(engine.store.versions("added").length, 1);
    down.first = false;
    await engine.clock.advance(5 * minutes);
    await engine.tick([aRotation({ sources, outputs })]);
    const [old, added] = ["old", "added"].map((name) => engine.store.versions(name)[0]?.value.reveal());
    assert.equal(old, added);
  });

  test("tell of the fallback also when its token is refused, for that is why", async () => {
    const engine = new TestEngine();
    const { down, sources } = twoSources(engine, ["one", "another"]);
    await engine.tick([aRotation({ sources })]);
    down.first = true;
    const { rotations } = await engine.tick([aRotation({ sources })], { force: true });
    assert.equal(rotations[0]?.outcome, "SubjectChanged");
    const [told, ...others] = engine.telemetry.of("FallbackUsed");
    assert.deepEqual(told, { rotation: "app", kind: "test", position: 1, code: "Down" });
    assert.deepEqual(others, []);
  });
});

test("a token that lives shorter than the floor is published, with a warning", async () => {
  const engine = new TestEngine();
  const { source } = hourly(engine, { expiresOn: new Date(epoch + 22 * minutes) });
  const { rotations } = await engine.tick([aRotation({ sources: [source] })]);
  assert.equal(rotations[0]?.outcome, "Rotated");
  assert.deepEqual(
    rotations[0]?.warnings.map(({ code }) => code),
    ["TokenShortLived"],
  );
});

test("somebody else's secret says nothing about when the rotation's own expires", async () => {
  const engine = new TestEngine();
  const theirs = { contentType: "text/plain", tags: { operation: "theirs" } };
  const version = { value: new SecretValue("theirs"), expiresOn: new Date(epoch + hours), ...theirs };
  await engine.store.write("app-token", version);
  const { rotations } = await engine.tick([aRotation()]);
  assert.deepEqual([rotations[0]?.outcome, rotations[0]?.expiresOn], ["Blocked", undefined]);
});

describe("never worse", () => {
  /** Publishes `first`, then lets the rotation fall due and the source hand out `second`. */
  async function replace(first: Token, second: Token, rotation: Partial<Rotation> = {}, atMinutes = 40) {
    const engine = new TestEngine();
    const tokens = [first, second];
    const source = aSource(async () => tokens.shift() as Token);
    const configured = aRotation({ ...rotation, sources: [source] });
    await engine.tick([configured]);
    await engine.clock.advance(atMinutes * minutes);
    const { rotations } = await engine.tick([configured]);
    const versions = engine.store.versions("app-token").map(({ value }) => value.reveal());
    return { engine, result: rotations[0], versions };
  }

  const first = aToken({ text: "first", subject: "one" });

  test("the same token again is no new version", async () => {
    const day = { expiresOn: new Date(epoch + 24 * hours) };
    const { result, versions } = await replace(aToken(day), aToken(day), {}, 16 * 60 + 1);
    assert.equal(result?.outcome, "SourceUnchanged");
    assert.equal(versions.length, 1);
  });

  test("the same token again is a failure once it lives less than the floor", async () => {
    const { result, versions, engine } = await replace(first, first);
    assert.equal(result?.outcome, "Failed");
    assert.equal(result?.error?.code, "TokenNotRenewed");
    assert.equal(versions.length, 1);
    assert.equal(engine.telemetry.of("RotationFailed")[0]?.code, "TokenNotRenewed");
  });

  for (const [name, expiresOn, published] of [
    ["an earlier expiry", epoch + hours - 1000, false],
    ["an equal expiry", epoch + hours, false],
    ["an expiry later by less than the vault can keep", epoch + hours + 999, false],
    ["a later expiry", epoch + hours + 1000, true],
  ] as const) {
    test(`${name} is ${published ? "" : "not "}published`, async () => {
      const second = aToken({ text: "second", subject: "one", expiresOn: new Date(expiresOn) });
      const { versions } = await replace(first, second);
      assert.deepEqual(versions, published ? ["second", "first"] : ["first"]);
    });
  }

  test("an expired token is refused and the last good version stays", async () => {
    const engine = new TestEngine();
    const source = aSource(async () => aToken({ expiresOn: new Date(engine.clock.now()) }));
    const { rotations } = await engine.tick([aRotation({ sources: [source] })]);
    assert.equal(rotations[0]?.error?.code, "TokenExpired");
    assert.equal(rotations[0]?.error?.stage, "check");
    assert.equal(engine.store.versions("app-token").length, 0);
  });

  test("a token that the provider refuses in its last seconds counts as expired then", async () => {
    const engine = new TestEngine();
    const short = aToken({ expiresOn: new Date(epoch + 30_000) });
    const rotation = aRotation({ sources: [aSource(async () => short, { refusedBeforeExpiryMs: 30_000 })] });
    const { rotations } = await engine.tick([rotation]);
    assert.equal(rotations[0]?.error?.code, "TokenExpired");
  });

  test("an expiry that is no date is refused", async () => {
    const engine = new TestEngine();
    const source = aSource(async () => aToken({ expiresOn: new Date(Number.NaN) }));
    const { rotations } = await engine.tick([aRotation({ sources: [source] })]);
    assert.equal(rotations[0]?.error?.code, "TokenExpired");
  });

  for (const text of ["", "two\nlines", "tab\tbed", "bell\u0007"]) {
    test(`${JSON.stringify(text)} is not published`, async () => {
      const engine = new TestEngine();
      const { rotations } = await engine.tick([
        aRotation({ sources: [aSource(async () => aToken({ text }))] }),
      ]);
      assert.equal(rotations[0]?.outcome, "Failed");
      assert.equal(rotations[0]?.error?.code, text === "" ? "TokenEmpty" : "TokenNotOneLine");
      assert.equal(engine.store.versions("app-token").length, 0);
    });
  }

  const second = aToken({ text: "second", subject: "two", expiresOn: new Date(epoch + 2 * hours) });

  test("another subject is not published", async () => {
    const { result, versions } = await replace(first, second);
    assert.equal(result?.outcome, "SubjectChanged");
    assert.deepEqual(versions, ["first"]);
  });

  test("a subject that can no longer be told is another one", async () => {
    const anonymous = aToken({ text: "second", expiresOn: new Date(epoch + 2 * hours) });
    const { result } = await replace(first, anonymous);
    assert.equal(result?.outcome, "SubjectChanged");
  });

  test("another subject is published where the configuration states it", async () => {
    const checks = { check: () => {}, subjectOf: (token: Token) => token.subject, subjectStated: true };
    const { versions } = await replace(first, second, { checks });
    assert.deepEqual(versions, ["second", "first"]);
  });

  test("another subject is published on request", async () => {
    const engine = new TestEngine();
    const tokens = [first, second];
    const rotation = aRotation({ sources: [aSource(async () => tokens.shift() as Token)] });
    await engine.tick([rotation]);
    const { rotations } = await engine.tick([rotation], { force: true, acceptSubject: true });
    assert.equal(rotations[0]?.outcome, "Rotated");
    assert.equal(rotations[0]?.reason, "Forced");
  });

  test("a probe that fails leaves the last good version", async () => {
    const tries: string[] = [];
    const probe = async () => ({
      probe: async (token: Token) => {
        tries.push(token.value.reveal());
        throw failing("ProbeRefused");
      },
    });
    const engine = new TestEngine();
    const { rotations } = await engine.tick([aRotation({ probe })]);
    assert.equal(rotations[0]?.error?.code, "ProbeRefused");
    assert.equal(rotations[0]?.error?.stage, "probe");
    assert.deepEqual(tries, ["first-token"]);
    assert.equal(engine.store.versions("app-token").length, 0);
  });

  test("a probe that hangs ends with its time-out", async () => {
    const engine = new TestEngine();
    const probe = async () => ({ probe: () => new Promise<void>(() => {}) });
    const { rotations, durationMs } = await engine.tick([aRotation({ probe })]);
    assert.equal(rotations[0]?.error?.code, "ProbeTimedOut");
    assert.equal(durationMs, 15_000);
  });

  test("an output that cannot be laid out keeps its siblings from being written", async () => {
    const broken = anOutput({
      secret: "broken",
      load: async () => ({
        render: () => {
          throw failing("FormatMultiline");
        },
      }),
    });
    const engine = new TestEngine();
    const { rotations } = await engine.tick([aRotation({ outputs: [anOutput(), broken] })]);
    assert.equal(rotations[0]?.error?.stage, "format");
    assert.deepEqual(engine.store.calls, ["inspect"]);
  });
});

describe("failures", () => {
  test("stop no other rotation, and each is told once", async () => {
    const engine = new TestEngine();
    const broken = aRotation({
      name: "broken",
      sources: [
        aSource(
          async () => {
            throw failing("IdentityNotAssigned");
          },
          { key: "broken" },
        ),
      ],
      outputs: [anOutput({ secret: "broken" })],
    });
    const faulty = aRotation({
      name: "faulty",
      outputs: [anOutput({ secret: "faulty" })],
      faults: ["x: is wrong"],
    });
    const { rotations } = await engine.tick([broken, faulty, aRotation()]);
    assert.deepEqual(
      rotations.map(({ rotation, outcome, error }) => [rotation, outcome, error?.code, error?.stage]),
      [
        ["broken", "Failed", "IdentityNotAssigned", "mint"],
        ["faulty", "Blocked", "ConfigurationInvalid", "configure"],
        ["app", "Rotated", undefined, undefined],
      ],
    );
    assert.equal(engine.telemetry.of("RotationFailed").length, 2);
    assert.equal(engine.telemetry.of("RotationSucceeded").length, 1);
    assert.equal(engine.telemetry.of("TickCompleted")[0]?.failed, 2);
  });

  test("that pass are retried within the tick, with the number of tries told", async () => {
    const engine = new TestEngine();
    let calls = 0;
    const flaky = aSource(async () => {
      calls += 1;
      if (calls < 3) {
        throw failing("IdentityThrottled", true);
      }
      return aToken({ expiresOn: new Date(epoch + hours) });
    });
    const { rotations } = await engine.tick([aRotation({ sources: [flaky] })]);
    assert.equal(rotations[0]?.outcome, "Rotated");
    assert.equal(calls, 3);
  });

  test("that do not pass end with the retry budget", async () => {
    const engine = new TestEngine();
    const source = aSource(async () => {
      throw failing("IdentityThrottled", true);
    });
    const { rotations, durationMs } = await engine.tick([aRotation({ sources: [source] })]);
    assert.equal(rotations[0]?.outcome, "Failed");
    assert.ok(durationMs <= 2 * minutes);
    const [event] = engine.telemetry.of("RotationFailed");
    assert.ok((event?.attempt ?? 0) > 5);
  });

  test("of a source that hangs end with its time-out, and the rest goes on", async () => {
    const engine = new TestEngine();
    const hanging = aRotation({
      name: "hanging",
      sources: [aSource(() => new Promise(() => {}), { key: "hanging" })],
      outputs: [anOutput({ secret: "hanging" })],
    });
    const { rotations } = await engine.tick([hanging, aRotation()]);
    assert.equal(rotations[0]?.error?.code, "SourceTimeout");
    assert.equal(rotations[1]?.outcome, "Rotated");
  });

  test("to be done by the deadline are reported as not reached", async () => {
    const engine = new TestEngine();
    const hanging = aRotation({
      name: "hanging",
      sources: [aSource(() => new Promise(() => {}), { key: "hanging" })],
      outputs: [anOutput({ secret: "hanging" })],
    });
    const { rotations, durationMs } = await engine.tick([hanging, aRotation()], { deadlineMs: 10_000 });
    assert.deepEqual(
      rotations.map(({ outcome }) => outcome),
      ["NotReached", "Rotated"],
    );
    assert.equal(durationMs, 10_000);
    assert.equal(engine.telemetry.of("TickCompleted")[0]?.notReached, 1);
  });

  test("to read the vault leave everything as it is", async () => {
    const engine = new TestEngine();
    engine.store.fail = (call) => (call === "inspect" ? failing("VaultForbidden") : undefined);
    const { rotations } = await engine.tick([aRotation()]);
    assert.equal(rotations[0]?.outcome, "Failed");
    assert.equal(rotations[0]?.reason, "StateUnknown");
    assert.equal(rotations[0]?.error?.stage, "gather");
    assert.deepEqual(engine.store.calls, ["inspect"]);
  });

  test("of one vault do not keep a rotation from renewing its output in another", async () => {
    const engine = new TestEngine();
    const other = "https://kv-other.vault.azure.net";
    engine.storeOf(other).fail = (call) => (call === "inspect" ? failing("VaultUnreachable") : undefined);
    const outputs = [anOutput(), anOutput({ vault: other })];
    const { rotations } = await engine.tick([aRotation({ outputs })]);
    assert.equal(rotations[0]?.outcome, "Failed");
    assert.equal(engine.store.versions("app-token").length, 1);
  });

  test("of one write do not stop the next, and the next tick brings them together", async () => {
    const engine = new TestEngine();
    const { source, asked } = hourly(engine);
    const outputs = [anOutput({ secret: "first" }), anOutput({ secret: "second" })];
    const rotation = aRotation({ sources: [source], outputs });
    engine.store.fail = (call) => (call === "write:first" ? failing("VaultForbidden") : undefined);
    const { rotations } = await engine.tick([rotation]);
    assert.equal(rotations[0]?.error?.stage, "publish");
    assert.equal(engine.store.versions("second").length, 1);
    engine.store.fail = () => undefined;
    await engine.clock.advance(5 * minutes);
    const next = await engine.tick([rotation]);
    assert.equal(next.rotations[0]?.outcome, "Rotated");
    assert.equal(asked.length, 2);
    assert.equal(engine.store.versions("first")[0]?.value.reveal(), "token-2");
    assert.equal(engine.store.versions("second")[0]?.value.reveal(), "token-2");
  });

  test("of one write make no versions of the outputs that need none, tick after tick", async () => {
    const engine = new TestEngine();
    const { source } = hourly(engine);
    const outputs = ["first", "second", "third"].map((secret) => anOutput({ secret }));
    const rotation = aRotation({ sources: [source], outputs });
    const newest = () => outputs.map(({ secret }) => engine.store.versions(secret)[0]?.value.reveal());
    engine.store.fail = (call) => (call === "write:second" ? failing("SecretDeleted") : undefined);
    for (let tick = 0; tick < 5; tick += 1) {
      const { rotations } = await engine.tick([rotation]);
      assert.equal(rotations[0]?.error?.code, "SecretDeleted");
      await engine.clock.advance(5 * minutes);
    }
    assert.deepEqual(newest(), ["token-1", undefined, "token-1"]);
    engine.store.fail = () => undefined;
    await engine.tick([rotation]);
    assert.deepEqual(newest(), ["token-6", "token-6", "token-6"]);
  });

  test("of one write leave those alone that hold a newer token than it", async () => {
    const engine = new TestEngine();
    const { source } = hourly(engine);
    const outputs = [anOutput({ secret: "first" }), anOutput({ secret: "second" })];
    const rotation = aRotation({ sources: [source], outputs });
    await engine.tick([rotation]);
    await engine.clock.advance(5 * minutes);
    engine.store.fail = (call) => (call === "write:second" ? failing("VaultForbidden") : undefined);
    await engine.tick([rotation], { force: true });
    for (let tick = 0; tick < 3; tick += 1) {
      await engine.clock.advance(5 * minutes);
      const { rotations } = await engine.tick([rotation]);
      assert.equal(rotations[0]?.reason, "OutputsDiverged");
      assert.equal(rotations[0]?.error?.code, "VaultForbidden");
    }
    assert.equal(engine.store.versions("first").length, 2);
    engine.store.fail = () => undefined;
    await engine.tick([rotation]);
    const [first, second] = outputs.map(({ secret }) => engine.store.versions(secret)[0]?.value.reveal());
    assert.equal(first, second);
  });

  test("carry no secret, however they are printed", async () => {
    const engine = new TestEngine();
    const canary = "canary-4f1d";
    const leaky = aSource(async () => {
      throw Object.assign(new Error(`provider said: ${canary}`), {
        request: { headers: { authorization: `Bearer ${canary}` } },
        code: "ECONNRESET",
      });
    });
    const { rotations } = await engine.tick([aRotation({ sources: [leaky] })]);
    const [result] = rotations;
    assert.equal(result?.error?.code, "Unexpected");
    const printed = [
      inspect(result, { depth: 9 }),
      JSON.stringify(result),
      String(result?.error),
      result?.error?.stack,
    ];
    assert.ok(printed.every((text) => !text?.includes(canary)));
    assert.match(inspect(result?.error), /ECONNRESET/);
    assert.ok(!inspect(engine.telemetry.events, { depth: 9 }).includes(canary));
  });
});

describe("fallback", () => {
  test("a fallback is tried again too, after the retries of the first source have taken all their time", async () => {
    const engine = new TestEngine();
    const broken = aSource(
      async () => {
        throw failing("LeaseStoreUnavailable", true);
      },
      { key: "primary" },
    );
    let tries = 0;
    const flaky = aSource(
      async () => {
        tries += 1;
        if (tries < 6) {
          throw failing("ProviderUnavailable", true);
        }
        return aToken({ expiresOn: new Date(engine.clock.now() + hours) });
      },
      { key: "secondary" },
    );
    const { rotations } = await engine.tick([aRotation({ sources: [broken, flaky] })]);
    assert.equal(rotations[0]?.outcome, "Rotated");
    assert.equal(tries, 6);
  });

  test("the first source that mints wins, and its use is told", async () => {
    const engine = new TestEngine();
    const broken = aSource(
      async () => {
        throw failing("SignInRequired");
      },
      { key: "primary", kind: "oauth-refresh-token" },
    );
    const sources = [broken, aSource(async () => aToken(), { key: "secondary", kind: "entra" })];
    const { rotations } = await engine.tick([aRotation({ sources })]);
    assert.equal(rotations[0]?.outcome, "Rotated");
    assert.deepEqual(engine.telemetry.of("FallbackUsed"), [
      { rotation: "app", kind: "entra", position: 1, code: "SignInRequired" },
    ]);
  });

  test("when none mints, the first source's error is told", async () => {
    const engine = new TestEngine();
    const sources = ["SignInRequired", "IdentityNotAssigned"].map((code) =>
      aSource(
        async () => {
          throw failing(code);
        },
        { key: code },
      ),
    );
    const { rotations } = await engine.tick([aRotation({ sources })]);
    assert.equal(rotations[0]?.outcome, "SignInRequired");
    const [event] = engine.telemetry.of("SignInRequired");
    assert.equal(event?.command, "token-rotator login app");
  });
});

describe("pausing", () => {
  test("really pauses: nothing is minted, written or restarted, forced or not", async () => {
    const engine = new TestEngine();
    const { source, asked } = hourly(engine);
    const { rotations } = await engine.tick([aRotation({ sources: [source], paused: {} })], { force: true });
    assert.equal(rotations[0]?.outcome, "Paused");
    assert.equal(asked.length, 0);
    assert.deepEqual(engine.store.calls, ["inspect"]);
  });
});

describe("a sink that throws, against its contract,", () => {
  test("costs neither the report nor what is said after it", async () => {
    const engine = new TestEngine();
    const { source } = hourly(engine);
    const heard: string[] = [];
    const telemetry: Telemetry = {
      event: ({ name }) => {
        heard.push(name);
        throw new TypeError("the sink is broken");
      },
      metric: ({ name }) => {
        heard.push(name);
        throw new TypeError("the sink is broken");
      },
      flush: async () => {},
    };
    const rotations = [
      aRotation({ sources: [source] }),
      aRotation({ name: "faulty", faults: ["x: is wrong"] }),
    ];
    const report = await engine.clock.run(
      runTick({ ...engine, telemetry, storeOf: engine.storeOf }, rotations, { deadlineMs: 4 * minutes }),
    );
    assert.deepEqual(
      report.rotations.map(({ outcome }) => outcome),
      ["Rotated", "Blocked"],
    );
    assert.deepEqual(heard, [
      "RotationSucceeded",
      "RotationFailed",
      "SecondsToExpiry",
      "SecretVersions",
      "TickCompleted",
    ]);
  });
});

describe("what is told beside the rotations", () => {
  test("a tick of some rotations is no heartbeat", async () => {
    const engine = new TestEngine();
    await engine.tick([aRotation()], { partial: true });
    assert.equal(engine.telemetry.of("RotationSucceeded").length, 1);
    assert.equal(engine.telemetry.of("TickCompleted").length, 0);
  });

  test("a refresh token that runs out, and a vault that throttles", async () => {
    const engine = new TestEngine();
    engine.throttled = [{ vault, count: 3 }];
    const token = aToken({ signInBy: new Date(epoch + 24 * hours) });
    await engine.tick([aRotation({ sources: [aSource(async () => token)] })]);
    assert.deepEqual(engine.telemetry.of("RefreshTokenExpiring"), [
      { rotation: "app", secondsToExpiry: 86_400 },
    ]);
    assert.deepEqual(engine.telemetry.of("VaultThrottled"), [{ vault, count: 3 }]);
  });
});

describe("metrics", () => {
  test("one series per output: seconds to expiry and versions written", async () => {
    const engine = new TestEngine();
    await engine.tick([aRotation()]);
    assert.deepEqual(engine.telemetry.metrics, [
      { name: "SecondsToExpiry", value: 3600, properties: { rotation: "app", output: "app-token", vault } },
      { name: "SecretVersions", value: 1, properties: { rotation: "app", output: "app-token", vault } },
    ]);
  });
});
